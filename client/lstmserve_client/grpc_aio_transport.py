"""Carries the calls of an asynchronous client over gRPC."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
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

FORKED = (
    "an AsyncClient was used before this process was forked, and gRPC's asyncio works in no child "
    "after that: fork before, or start processes by spawn or forkserver, or make a Client here"
)
_GRPC_AIO = Owner(FORKED)  # one thread of gRPC's serves all channels, and it is started once


class GrpcAioTransport:
    """One channel to each target, made when first used, on the loop that runs then."""

    def __init__(self, config: ClientConfig, owner: Owner) -> None:
        """``owner`` is claimed before every call."""
        self._config = config
        self._owner = owner
        self._channels: dict[tuple[int, bool], grpc.aio.Channel] = {}
        self._loop: asyncio.AbstractEventLoop | None = None  # that the channels belong to
        self._is_closed = False

    async def unary(self, method: Method[Q, R], request: Q, attempt: Attempt) -> R:
        send = self._sender(method, attempt, "unary_unary")
        with self._guard(attempt)():
            response: R = await send(
                request, timeout=attempt.timeout_seconds, metadata=attempt.metadata
            )
        return response

    def stream(self, method: Method[Q, R], request: Q, attempt: Attempt) -> "_Stream[R]":
        send = self._sender(method, attempt, "unary_stream")
        guard = self._guard(attempt)
        with guard():
            call = send(request, timeout=attempt.timeout_seconds, metadata=attempt.metadata)
        return _Stream(call, guard, self._owner)

    async def close(self) -> None:
        """End what runs; it raises RequestCancelledError, as later calls do."""
        self._is_closed = True
        for channel in self._channels.values():
            await channel.close()

    def __del__(self) -> None:
        if self._owner.is_elsewhere:
            abandon(self._channels)

    def _guard(self, attempt: Attempt) -> Guard:
        return lambda: _guarded(attempt.request_id, lambda: self._is_closed)

    def _sender(self, method: Method[Q, R], attempt: Attempt, shape: str) -> Any:  # noqa: ANN401 - of gRPC's
        channel = self._channel(attempt)
        return getattr(channel, shape)(
            method.path,
            request_serializer=method.request_type.SerializeToString,
            response_deserializer=method.response_type.FromString,
        )

    def _channel(self, attempt: Attempt) -> grpc.aio.Channel:
        if self._is_closed:
            raise RequestCancelledError("the client is closed", request_id=attempt.request_id)
        self._check_loop()
        key = (attempt.target, attempt.is_checked)
        if key not in self._channels:
            self._channels[key] = self._connect(*key)
        return self._channels[key]

    def _check_loop(self) -> None:
        """On another loop calls work at times, and fail in odd ways at others."""
        loop = asyncio.get_running_loop()
        self._loop = self._loop or loop
        if self._loop is not loop:
            raise RuntimeError("an AsyncClient is for one event loop: make another for this one")

    def _connect(self, number: int, is_checked: bool) -> grpc.aio.Channel:
        _GRPC_AIO.claim()
        target = self._config.targets[number]
        options = channel_options(self._config, target, checked=is_checked)
        credentials = channel_credentials(self._config)
        no_compression = grpc.Compression.NoCompression
        if credentials is None:
            return grpc.aio.insecure_channel(target, options, no_compression)
        return grpc.aio.secure_channel(target, credentials, options, no_compression)


@contextmanager
def _guarded(request_id: str, is_closed: Callable[[], bool]) -> Iterator[None]:
    """grpc.aio raises CancelledError when its channel is closed, which would pass for a
    cancellation of the task.
    """
    try:
        with raises_own_errors(request_id, is_closed):
            yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise RequestCancelledError("the client was closed", request_id=request_id) from error


class _Stream(Generic[Item]):
    def __init__(self, call: Any, guard: Guard, owner: Owner) -> None:  # noqa: ANN401 - of gRPC's
        self._call = call
        self._guard = guard
        self._owner = owner

    async def __aiter__(self) -> AsyncIterator[Item]:
        with self._guard():
            async for message in self._call:
                yield message
                self._owner.claim()

    def cancel(self) -> None:
        if not self._owner.is_elsewhere:
            self._call.cancel()

    def __del__(self) -> None:
        if self._owner.is_elsewhere:
            abandon(self._call)
