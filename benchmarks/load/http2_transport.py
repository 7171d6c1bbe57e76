"""Requests by a light HTTP/2 client: a third of the CPU that grpc.aio takes per message."""

from __future__ import annotations

import asyncio
from itertools import count

from benchmarks.load.grpc_wire import LOST, Headers
from benchmarks.load.http2_connection import Http2Connection
from benchmarks.load.transport import Metadata, OnMessage, Status


class Http2Transport:
    """Calls go round several connections; a lost one is opened anew."""

    def __init__(self, target: str, connections: int, timeout_seconds: float) -> None:
        self._target = target
        self._timeout_seconds = timeout_seconds
        self._connections: list[Http2Connection | None] = [None] * connections
        self._locks = [asyncio.Lock() for _ in range(connections)]
        self._calls = count()

    async def stream(
        self, path: str, request: bytes, on_message: OnMessage, metadata: Metadata = ()
    ) -> Status:
        number = next(self._calls) % len(self._connections)
        try:
            connection = await self._connect(number)
        except OSError as error:
            return Status(LOST.code, str(error))
        headers = make_headers(self._target, path, self._timeout_seconds, metadata)
        return await connection.stream(headers, request, on_message)

    async def close(self) -> None:
        for connection in self._connections:
            if connection is not None:
                connection.close()

    async def _connect(self, number: int) -> Http2Connection:
        connection = self._connections[number]
        if connection is not None and connection.is_usable:
            return connection
        async with self._locks[number]:
            connection = self._connections[number]
            if connection is None or not connection.is_usable:
                connection = await self._open()
                self._connections[number] = connection
            return connection

    async def _open(self) -> Http2Connection:
        host, _, port = self._target.rpartition(":")
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(Http2Connection, host.strip("[]"), int(port))
        return connection


def make_headers(
    authority: str, path: str, timeout_seconds: float, metadata: Metadata = ()
) -> Headers:
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": authority,
        "te": "trailers",
        "content-type": "application/grpc",
        "user-agent": "lstmserve-benchmarks",
        "grpc-timeout": f"{round(timeout_seconds * 1000)}m",
        **dict(metadata),
    }
    return [(name.encode(), value.encode()) for name, value in fields.items()]
