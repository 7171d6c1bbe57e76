"""grpc.health.v1: whether this server can be used, for whoever asks.

The service that comes with grpc writes to each who watches under a lock that all of them share,
so one who takes nothing would hold up the others, and the end of the server.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

Context = grpc.aio.ServicerContext[Any, Any]
Health = health_pb2.HealthCheckResponse


class HealthServicer(health_pb2_grpc.HealthServicer):
    """Tells the status of services, which are all those of one server and change together."""

    def __init__(self, services: tuple[str, ...]) -> None:
        self._services = services
        self.is_serving = False
        self._changed = asyncio.Event()  # a new one after each change

    def switch(self, *, is_serving: bool) -> None:
        """Tell everybody; whoever watches hears it when it next takes something."""
        self.is_serving = is_serving
        self._changed.set()
        self._changed = asyncio.Event()

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Context) -> Health:
        if request.service not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND)
        return Health(status=self._find(request.service))

    async def Watch(
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> AsyncIterator[Health]:
        told: int | None = None
        while True:
            changed = self._changed  # before the look
            status = self._find(request.service)
            if status == told:
                await changed.wait()
            else:
                told = status
                yield Health(status=status)

    def _find(self, service: str) -> int:
        if service not in self._services:
            return Health.SERVICE_UNKNOWN
        return Health.SERVING if self.is_serving else Health.NOT_SERVING
