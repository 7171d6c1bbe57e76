"""The message of a call that has one: read once the call is let in, and within a time.

grpc reads it before anybody is asked, unless it believes that more may come: then callers whom
nobody has let in, and who never end their messages, fill the memory: each of their calls takes as
much as a message may have.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from google.protobuf.message import Message

from lstmserve_server.errors import DeadlineError, FieldViolation, InvalidRequestError
from lstmserve_server.rpc.wire import Read, bounded, checked

MESSAGE_SECONDS = 30.0  # from the beginning of the call to the end of its message
# of calls that anybody may make; an honest one's message comes with its headers
MAX_UNADMITTED = 32
# a call may go on for as long as it likes, and its message with it
MAX_UNADMITTED_BYTES = 1 << 10


async def read_one(read: Read, coming: AsyncIterator[bytes]) -> Message:
    """Return the one message. Raises InvalidRequestError, or DeadlineError if it does not end."""
    return checked(read(await read_bytes(coming)))


async def read_bytes(coming: AsyncIterator[bytes]) -> bytes:
    """Return the one message as it came; raises as ``read_one`` where there is none."""
    try:
        async with asyncio.timeout(MESSAGE_SECONDS):
            data = await anext(coming, None)
    except TimeoutError:
        raise DeadlineError(f"the request did not arrive within {MESSAGE_SECONDS:g} s") from None
    if data is None:
        raise InvalidRequestError([FieldViolation("request", "is missing")])
    return data


async def read_each(read: Read, coming: AsyncIterator[bytes]) -> AsyncIterator[Message]:
    """Yield all messages of a call that may have many."""
    async for data in coming:
        yield checked(read(data))


class UnadmittedCalls:
    """Messages of calls that are not let in yet; when they are too many, the oldest is given up."""

    def __init__(self, most: int = MAX_UNADMITTED) -> None:
        self._most = most
        self._waiting: dict[asyncio.Timeout, None] = {}  # oldest first

    async def read_one(self, read: Read, coming: AsyncIterator[bytes]) -> Message:
        """Do as the function of this name, for messages that are short."""
        try:
            async with asyncio.timeout(None) as patience:
                with self._wait(patience):
                    return await read_one(bounded(read, MAX_UNADMITTED_BYTES), coming)
        except TimeoutError:
            raise DeadlineError(
                "the request took too long to arrive, and the server gave its place to others; "
                "send the message with the call"
            ) from None

    @contextmanager
    def _wait(self, patience: asyncio.Timeout) -> Iterator[None]:
        if len(self._waiting) == self._most:
            slowest = next(iter(self._waiting))
            del self._waiting[slowest]
            slowest.reschedule(0)  # which is over
        self._waiting[patience] = None
        try:
            yield
        finally:
            self._waiting.pop(patience, None)
