"""Transports of the client that tell what it met, and what its callers never notice."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, TypeVar, Unpack

from lstmserve_client import AsyncClient, Client, ClientOptions
from lstmserve_client.config import make_config
from lstmserve_client.errors import LstmserveError
from lstmserve_client.forks import Owner
from lstmserve_client.grpc_aio_transport import GrpcAioTransport
from lstmserve_client.grpc_transport import GrpcTransport
from lstmserve_client.methods import Method
from lstmserve_client.transport import (
    AsyncStream,
    AsyncTransport,
    Attempt,
    Pending,
    Q,
    R,
    Stream,
    Transport,
)

Item = TypeVar("Item")


class Watch:
    """What one client's connections brought. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.resumes = 0  # streams that went on after tokens which had arrived before
        self.failures: Counter[str] = Counter()  # attempts that failed, by error class

    def begin(self, request: object) -> None:
        """A stream is asked for."""
        with self._lock:
            self.resumes += bool(getattr(request, "resume_tokens", ()))

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Around what brings an attempt's outcome."""
        try:
            yield
        except LstmserveError as error:
            with self._lock:
                self.failures[type(error).__name__] += 1
            raise


def watched_client(
    targets: Sequence[str], watch: Watch, **options: Unpack[ClientOptions]
) -> Client:
    """A client that tells what happens to it."""
    inner = GrpcTransport(make_config(targets, **options), Owner("forked"))
    return Client(targets, transport=_WatchedTransport(inner, watch), **options)


def watched_async_client(
    targets: Sequence[str], watch: Watch, **options: Unpack[ClientOptions]
) -> AsyncClient:
    """The same for an event loop."""
    inner = GrpcAioTransport(make_config(targets, **options), Owner("forked"))
    return AsyncClient(targets, transport=_WatchedAsyncTransport(inner, watch), **options)


class _WatchedTransport:
    """Carries calls for threads, over another transport."""

    def __init__(self, inner: Transport, watch: Watch) -> None:
        self._inner = inner
        self._watch = watch
        self.close = inner.close

    def unary(self, method: Method[Q, R], request: Q, attempt: Attempt) -> R:
        with self._watch.attempt():
            return self._inner.unary(method, request, attempt)

    def begin(self, method: Method[Q, R], request: Q, attempt: Attempt) -> Pending[R]:
        with self._watch.attempt():
            return _WatchedPending(self._inner.begin(method, request, attempt), self._watch)

    def stream(self, method: Method[Q, R], request: Q, attempt: Attempt) -> Stream[R]:
        self._watch.begin(request)
        with self._watch.attempt():
            return _WatchedStream(self._inner.stream(method, request, attempt), self._watch)


class _WatchedAsyncTransport:
    """Carries calls for an event loop, over another transport."""

    def __init__(self, inner: AsyncTransport, watch: Watch) -> None:
        self._inner = inner
        self._watch = watch
        self.close = inner.close

    async def unary(self, method: Method[Q, R], request: Q, attempt: Attempt) -> R:
        with self._watch.attempt():
            return await self._inner.unary(method, request, attempt)

    def stream(self, method: Method[Q, R], request: Q, attempt: Attempt) -> AsyncStream[R]:
        self._watch.begin(request)
        with self._watch.attempt():
            return _WatchedAsyncStream(self._inner.stream(method, request, attempt), self._watch)


class _WatchedPending(Generic[Item]):
    def __init__(self, pending: Pending[Item], watch: Watch) -> None:
        self._pending = pending
        self._watch = watch
        self.cancel = pending.cancel

    # what is called back is given the call, whose result another part of the client asks for
    def add_done_callback(self, callback: Any) -> object:  # noqa: ANN401 - of gRPC's
        return self._pending.add_done_callback(callback)

    def result(self) -> Item:
        with self._watch.attempt():
            return self._pending.result()


class _WatchedStream(Generic[Item]):
    def __init__(self, stream: Stream[Item], watch: Watch) -> None:
        self._stream = stream
        self._watch = watch
        self.cancel = stream.cancel

    def __iter__(self) -> Iterator[Item]:
        with self._watch.attempt():
            yield from self._stream


class _WatchedAsyncStream(Generic[Item]):
    def __init__(self, stream: AsyncStream[Item], watch: Watch) -> None:
        self._stream = stream
        self._watch = watch
        self.cancel = stream.cancel

    async def __aiter__(self) -> AsyncIterator[Item]:
        with self._watch.attempt():
            async for item in self._stream:
                yield item
