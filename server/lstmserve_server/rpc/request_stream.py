"""A stream of requests: every one of them is a call of its own, and fails alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import grpc
import structlog
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status

from lstmserve_server.rpc.call import Call
from lstmserve_server.rpc.status import to_status
from lstmserve_server.rpc.wire import Read, checked

# that are answered at a time; of a caller who sends more no further ones are read
MAX_RUNNING = 64
# before a request is read: of the stream as a whole, that is
HOPELESS = (
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
)

Context = grpc.aio.ServicerContext[Any, Any]
Serve = Callable[[AsyncIterator[Message], Context], AsyncGenerator[Message]]
Sent = TypeVar("Sent")
Received = TypeVar("Received")
# ends a call with a status by raising
Fail = Callable[[grpc.StatusCode, Status], Awaitable[None]]
# what a call is inside of
Around = Callable[[Call, Fail], AbstractAsyncContextManager[None]]
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a request failed, or the stream as a whole."""

    call: Call
    code: grpc.StatusCode
    status: Status
    request: Message | None = None  # where it was read

    @property
    def ends_stream(self) -> bool:
        """Whether the requests to come would fail in the same way."""
        return self.request is None and self.code in HOPELESS


class _FailedError(Exception):
    """Ends the call of one request, where an abort would end the stream."""

    def __init__(self, failure: Failure) -> None:
        super().__init__()
        self.failure = failure


class RequestStream:
    """The calls of one stream."""

    def __init__(
        self, opening: Call, serve: Serve, read: Read, around: Around, context: Context
    ) -> None:
        """``serve`` answers a stream of one request, which ``read`` makes of its bytes."""
        self._opening = opening
        self._serve = serve
        self._read = read
        self._around = around
        self._context = context
        self._num_requests = 0

    async def answer(self, requests: AsyncIterator[bytes]) -> AsyncGenerator[bytes | Failure]:
        """Yield the responses to all of them, and the failures of those that fail."""
        try:
            async with aclosing(multiplex(requests, self._answer_one, MAX_RUNNING)) as responses:
                async for response in responses:
                    yield response
        except Exception as error:  # nothing that a request can cause
            request_id = self._opening.request_id
            log.exception("a bug", rpc=self._opening.rpc, request_id=request_id)
            yield Failure(self._opening, *to_status(error, request_id))

    async def _answer_one(self, data: bytes) -> AsyncGenerator[bytes | Failure]:
        call = self._make_call()
        request: Message | None = None

        async def fail(code: grpc.StatusCode, status: Status) -> None:
            known = request or self._read_for_its_id(code, data)
            raise _FailedError(Failure(call, code, status, known))

        try:
            async with self._around(call, fail):
                request = checked(self._read(data))
                responses = self._serve(_stream_of(request), self._context)
                async with aclosing(responses):
                    async for response in responses:
                        yield response.SerializeToString()
        except _FailedError as error:
            yield error.failure

    def _read_for_its_id(self, code: grpc.StatusCode, data: bytes) -> Message | None:
        """Return a request that failed before it was read, unless its id is unknown."""
        request = None if code in HOPELESS else self._read(data)
        return request if isinstance(request, Message) else None

    def _make_call(self) -> Call:
        self._num_requests += 1
        number = f"{self._opening.request_id}-{self._num_requests}"
        return replace(self._opening, request_id=number)


async def _stream_of(request: Message) -> AsyncIterator[Message]:
    yield request


async def multiplex(
    requests: AsyncIterable[Sent],
    answer: Callable[[Sent], AsyncGenerator[Received]],
    max_running: int,
) -> AsyncGenerator[Received]:
    """Yield the responses to all requests, as they come: in order to each, mixed between them.

    No more than ``max_running`` requests are taken at a time, and no response is asked for
    before the last one is gone: whoever sends too much or reads too slowly waits. Each request
    is answered by a task of its own; closing the stream ends them.
    """
    responses: asyncio.Queue[Received | _End] = asyncio.Queue()
    room = asyncio.Semaphore(1)  # a bounded queue could not be told of the end when it is full
    places = asyncio.Semaphore(max_running)

    async def run(request: Sent) -> None:
        try:
            async with aclosing(answer(request)) as found:
                async for response in found:
                    await room.acquire()
                    responses.put_nowait(response)
        finally:
            places.release()

    async def run_all() -> None:
        async with asyncio.TaskGroup() as running:
            await places.acquire()
            async for request in requests:
                running.create_task(run(request))
                await places.acquire()

    task = asyncio.create_task(run_all())
    task.add_done_callback(lambda _: responses.put_nowait(_End()))
    try:
        while not isinstance(response := await responses.get(), _End):
            yield response
            room.release()
        await task
    finally:
        task.cancel()
        await asyncio.wait([task])


class _End:
    """Of all responses."""
