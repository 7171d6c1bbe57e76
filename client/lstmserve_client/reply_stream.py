"""What ``generate`` gives: the events of one reply, as they come."""

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from types import TracebackType
from typing import Self

from lstmserve_client.errors import RequestCancelledError
from lstmserve_client.stream import join
from lstmserve_client.types import Classification, Completion, Event, Reply, Started


class _Seen:
    """What has come so far."""

    def __init__(self) -> None:
        self._seen: list[Event] = []

    def __repr__(self) -> str:
        """What to do with it, for who prints it and looks for a text."""
        seen = f"{len(self._seen)} events so far"
        return f"<{type(self).__name__}: {seen}; iterate over it or its .text, or use .reply()>"

    @property
    def started(self) -> Started | None:
        """What decides this reply, once it has begun."""
        return next((each for each in self._seen if isinstance(each, Started)), None)

    @property
    def classification(self) -> Classification | None:
        """What the request is about, once that has come; only of versions with a classifier."""
        return next((each for each in self._seen if isinstance(each, Classification)), None)

    @property
    def completion(self) -> Completion | None:
        """How the reply ended, once it has."""
        last = self._seen[-1] if self._seen else None
        return last if isinstance(last, Completion) else None

    def _whole(self) -> Reply:
        if self.completion is None:
            request_id = self.started.request_id if self.started else None
            raise RequestCancelledError(
                "the stream was closed before the reply ended", request_id=request_id
            )
        return join(self._seen)


class ReplyStream(_Seen, Iterator[Event]):
    """Iterates over the events of one reply. To leave it is to cancel the reply: by ``close``,
    at the end of a ``with`` block, or when nothing refers to it any more.

        >>> with client.generate("Where is my order?") as stream:
        ...     print(next(stream).model)
        ...     print(next(stream).text)
        fake
        On
    """

    def __init__(self, events: Generator[Event, None, None]) -> None:
        super().__init__()
        self._events = events

    def __next__(self) -> Event:
        event = next(self._events)
        self._seen.append(event)
        return event

    @property
    def text(self) -> Iterator[str]:
        """The pieces of the reply's text, as they come."""
        return (event.text for event in self if event.text)

    def reply(self) -> Reply:
        """Wait for the rest; the whole reply, whatever was iterated over before.

        Raises RequestCancelledError for one that was left.
        """
        for _ in self:
            pass
        return self._whole()

    def close(self) -> None:
        """Cancel the reply, unless it is complete."""
        self._events.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class AsyncReplyStream(_Seen, AsyncIterator[Event]):
    """``ReplyStream`` for an event loop; left early, it is best closed by ``async with``."""

    def __init__(self, events: AsyncGenerator[Event, None]) -> None:
        super().__init__()
        self._events = events

    async def __anext__(self) -> Event:
        event = await anext(self._events)
        self._seen.append(event)
        return event

    @property
    def text(self) -> AsyncIterator[str]:
        """The pieces of the reply's text, as they come."""
        return (event.text async for event in self if event.text)

    async def reply(self) -> Reply:
        """Wait for the rest; the whole reply, whatever was iterated over before.

        Raises RequestCancelledError for one that was left.
        """
        async for _ in self:
            pass
        return self._whole()

    async def aclose(self) -> None:
        """Cancel the reply, unless it is complete."""
        await self._events.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()
