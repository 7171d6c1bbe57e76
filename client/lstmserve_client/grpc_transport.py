"""Carries the calls of a synchronous client over gRPC."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Generic, TypeVar

import grpc

from lstmserve_client.channel import channel_credentials, channel_options
from lstmserve_client.config import ClientConfig
from lstmserve_client.errors import RequestCancelledError
from lstmserve_client.forks import Owner, abandon
from lstmserve_client.methods import Method
from lstmserve_client.status import raises_own_errors
from lstmserve_client.transport import Attempt, Q, R

Item = TypeVar("Item")
Guard = Callable[[], AbstractContextManager[None]]  # what leaves it is a LstmserveError


class GrpcTransport:
    """One channel to each target, made when first used. Safe to share between threads."""

    def __init__(self, config: ClientConfig, owner: Owner) -> None:
        """``owner`` is claimed before every call."""
        self._config = config
        self._owner = owner
        self._channels: dict[tuple[int, bool], grpc.Channel] = {}
        self._lock = threading.Lock()
        self._is_closed = False

    def unary(self, method: Method[Q, R], request: Q, attempt: Attempt) -> R:
        send = self._sender(method, attempt, "unary_unary")
        with self._guard(attempt)():
            response: R = send(request, attempt.timeout_seconds, attempt.metadata)
        return response

    def begin(self, method: Method[Q, R], request: Q, attempt: Attempt) -> "_Pending[R]":
        send = self._sender(method, attempt, "unary_unary").future
        guard = self._guard(attempt)
        with guard():
            return _Pending(send(request, attempt.timeout_seconds, attempt.metadata), guard)

    def stream(self, method: Method[Q, R], request: Q, attempt: Attempt) -> "_Stream[R]":
        send = self._sender(method, attempt, "unary_stream")
        guard = self._guard(attempt)
        with guard():
            call = send(request, attempt.timeout_seconds, attempt.metadata)
        return _Stream(call, guard, self._owner)

    def close(self) -> None:
        """End what runs; it raises RequestCancelledError, as later calls do."""
        with self._lock:
            self._is_closed = True
            channels = list(self._channels.values())
        for channel in channels:
            channel.close()

    def __del__(self) -> None:
        if self._owner.is_elsewhere:
            abandon(self._channels)

    def _guard(self, attempt: Attempt) -> Guard:
        return lambda: raises_own_errors(attempt.request_id, is_closed=lambda: self._is_closed)

    def _sender(self, method: Method[Q, R], attempt: Attempt, shape: str) -> Any:  # noqa: ANN401 - of gRPC's
        channel = self._channel(attempt)
        return getattr(channel, shape)(
            method.path,
            request_serializer=method.request_type.SerializeToString,
            response_deserializer=method.response_type.FromString,
        )

    def _channel(self, attempt: Attempt) -> grpc.Channel:
        key = (attempt.target, attempt.is_checked)
        with self._lock:
            if self._is_closed:
                raise RequestCancelledError("the client is closed", request_id=attempt.request_id)
            if key not in self._channels:
                self._channels[key] = self._connect(*key)
            return self._channels[key]

    def _connect(self, number: int, is_checked: bool) -> grpc.Channel:
        target = self._config.targets[number]
        options = channel_options(self._config, target, checked=is_checked)
        credentials = channel_credentials(self._config)
        no_compression = grpc.Compression.NoCompression
        if credentials is None:
            return grpc.insecure_channel(target, options, no_compression)
        return grpc.secure_channel(target, credentials, options, no_compression)


class _Stream(Generic[Item]):
    def __init__(self, call: Any, guard: Guard, owner: Owner) -> None:  # noqa: ANN401 - of gRPC's
        self._call = call
        self._guard = guard
        self._owner = owner

    def __iter__(self) -> Iterator[Item]:
        with self._guard():
            for message in self._call:
                yield message
                self._owner.claim()

    def cancel(self) -> None:
        if not self._owner.is_elsewhere:
            # OpenTelemetry's interceptor makes a generator of the call, which drops it when closed
            (getattr(self._call, "cancel", None) or self._call.close)()

    def __del__(self) -> None:
        if self._owner.is_elsewhere:
            abandon(self._call)


class _Pending(Generic[Item]):
    def __init__(self, future: Any, guard: Guard) -> None:  # noqa: ANN401 - of gRPC's
        self._future = future
        self._guard = guard
        self.cancel = future.cancel
        self.add_done_callback = future.add_done_callback

    def result(self) -> Item:
        with self._guard():
            response: Item = self._future.result()
        return response
