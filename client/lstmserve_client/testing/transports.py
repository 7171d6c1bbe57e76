"""Carries the calls of real clients to a fake server in the same process."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from typing import Any, Generic, TypeVar, cast

from lstmserve_client.errors import LstmserveError, RequestCancelledError
from lstmserve_client.methods import Method
from lstmserve_client.testing.server import FakeServer
from lstmserve_client.transport import Attempt, Q, R

Item = TypeVar("Item")


class FakeTransport:
    """For threads; starts none."""

    def __init__(self, server: FakeServer) -> None:
        self._wire = _Wire(server)

    def unary(self, method: Method[Q, R], request: Q, attempt: Attempt) -> R:
        return self._wire.unary(method, request, attempt)

    def begin(self, method: Method[Q, R], request: Q, attempt: Attempt) -> "Future[R]":
        """Over when it returns."""
        call: Future[R] = Future()
        try:
            call.set_result(self._wire.unary(method, request, attempt))
        except LstmserveError as error:
            call.set_exception(error)
        return call

    def stream(
        self,
        method: Method[Q, R],  # noqa: ARG002 - there is one that streams
        request: Q,
        attempt: Attempt,
    ) -> "_Stream[R]":
        return self._wire.stream(request, attempt)

    def close(self) -> None:
        self._wire.is_closed = True


class FakeAsyncTransport:
    """For an event loop; other tasks have their turn before whatever comes."""

    def __init__(self, server: FakeServer) -> None:
        self._wire = _Wire(server)

    async def unary(self, method: Method[Q, R], request: Q, attempt: Attempt) -> R:
        await asyncio.sleep(0)
        return self._wire.unary(method, request, attempt)

    def stream(
        self,
        method: Method[Q, R],  # noqa: ARG002 - there is one that streams
        request: Q,
        attempt: Attempt,
    ) -> "_AsyncStream[R]":
        return _AsyncStream(self._wire.stream(request, attempt))

    async def close(self) -> None:
        self._wire.is_closed = True


class _Wire:
    """What both transports share: the way to the server, until the client is closed."""

    def __init__(self, server: FakeServer) -> None:
        self._server = server
        self.is_closed = False

    def unary(self, method: Method[Q, R], request: Q, attempt: Attempt) -> R:
        self.check_open(attempt)
        return cast("R", self._server.unary(method.path, request, attempt))

    def stream(self, request: Any, attempt: Attempt) -> "_Stream[Any]":  # noqa: ANN401 - of the one streaming method
        self.check_open(attempt)
        return _Stream(self, self._server, request, attempt)

    def check_open(self, attempt: Attempt) -> None:
        if self.is_closed:
            raise RequestCancelledError("the client was closed", request_id=attempt.request_id)


class _Stream(Generic[Item]):
    def __init__(
        self,
        wire: _Wire,
        server: FakeServer,
        request: Any,  # noqa: ANN401 - of the one streaming method
        attempt: Attempt,
    ) -> None:
        self._wire = wire
        self._attempt = attempt
        self._cancelled = server.cancelled
        self._asked, self._events = server.stream(request, attempt)
        self._is_over = False

    def __iter__(self) -> Iterator[Item]:
        try:
            for event in cast("Iterator[Item]", self._events):
                self._wire.check_open(self._attempt)
                yield event
        except LstmserveError:
            self._is_over = True
            raise
        self._is_over = True

    def cancel(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._cancelled.append(self._asked)


class _AsyncStream(Generic[Item]):
    def __init__(self, stream: _Stream[Item]) -> None:
        self._stream = stream
        self.cancel = stream.cancel

    async def __aiter__(self) -> AsyncIterator[Item]:
        for event in self._stream:
            await asyncio.sleep(0)
            yield event
