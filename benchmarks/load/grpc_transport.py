"""Requests by grpc.aio, with (de)serializers that do nothing."""

from __future__ import annotations

import asyncio
from itertools import cycle
from typing import cast

import grpc
import grpc.aio

from benchmarks.load.transport import Metadata, OnMessage, Status

OPTIONS = (
    # channels to one address otherwise share one connection
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", -1),
    # a server is measured, not whatever proxy the environment names
    ("grpc.enable_http_proxy", 0),
)


class GrpcTransport:
    """Calls go round several channels, each with a connection of its own."""

    def __init__(self, target: str, connections: int, timeout_seconds: float) -> None:
        self._channels = [
            grpc.aio.insecure_channel(target, options=OPTIONS) for _ in range(connections)
        ]
        self._next_channel = cycle(self._channels)
        self._timeout_seconds = timeout_seconds

    async def stream(
        self, path: str, request: bytes, on_message: OnMessage, metadata: Metadata = ()
    ) -> Status:
        send: grpc.aio.UnaryStreamMultiCallable[bytes, bytes]
        send = next(self._next_channel).unary_stream(path)
        call = send(request, timeout=self._timeout_seconds, metadata=tuple(metadata))
        try:
            while (message := await call.read()) is not grpc.aio.EOF:
                on_message(cast("bytes", message))
        except grpc.aio.AioRpcError as error:
            return Status(error.code().name, error.details() or "")
        return Status("OK")

    async def close(self) -> None:
        await asyncio.gather(*(channel.close() for channel in self._channels))
