"""Clients that tell what they met, and what their callers never notice."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Unpack

from lstmserve_client import AsyncClient, Client, ClientOptions
from lstmserve_client.config import ClientConfig, make_config
from lstmserve_client.errors import LstmserveError
from lstmserve_client.forks import Owner
from lstmserve_client.grpc_aio_transport import GrpcAioTransport
from lstmserve_client.grpc_transport import GrpcTransport
from lstmserve_client.methods import Method
from lstmserve_client.transport import Attempt, Q, R

Guard = Callable[[], AbstractContextManager[None]]


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

    def over(self, guard: Guard) -> Guard:
        """Count what leaves a transport's guard, through which every attempt's outcome comes."""

        @contextmanager
        def watched() -> Iterator[None]:
            try:
                with guard():
                    yield
            except LstmserveError as error:
                with self._lock:
                    self.failures[type(error).__name__] += 1
                raise

        return watched


def watched_client(
    targets: Sequence[str], watch: Watch, **options: Unpack[ClientOptions]
) -> Client:
    """A client that tells what happens to it."""
    transport = _WatchedTransport(make_config(targets, **options), watch)
    return Client(targets, transport=transport, **options)


def watched_async_client(
    targets: Sequence[str], watch: Watch, **options: Unpack[ClientOptions]
) -> AsyncClient:
    """The same for an event loop."""
    transport = _WatchedAsyncTransport(make_config(targets, **options), watch)
    return AsyncClient(targets, transport=transport, **options)


class _WatchedTransport(GrpcTransport):
    def __init__(self, config: ClientConfig, watch: Watch) -> None:
        super().__init__(config, Owner("forked"))
        self._watch = watch

    def stream(self, method: Method[Q, R], request: Q, attempt: Attempt) -> Any:  # noqa: ANN401 - theirs
        self._watch.begin(request)
        return super().stream(method, request, attempt)

    def _guard(self, attempt: Attempt) -> Guard:
        return self._watch.over(super()._guard(attempt))


class _WatchedAsyncTransport(GrpcAioTransport):
    def __init__(self, config: ClientConfig, watch: Watch) -> None:
        super().__init__(config, Owner("forked"))
        self._watch = watch

    def stream(self, method: Method[Q, R], request: Q, attempt: Attempt) -> Any:  # noqa: ANN401 - theirs
        self._watch.begin(request)
        return super().stream(method, request, attempt)

    def _guard(self, attempt: Attempt) -> Guard:
        return self._watch.over(super()._guard(attempt))
