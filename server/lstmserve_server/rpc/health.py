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

from lstmserve_server.errors import UnavailableError

Context = grpc.aio.ServicerContext[Any, Any]
MAX_WATCHING = 4096  # of some 20 KiB each, and anybody may
Health = health_pb2.HealthCheckResponse


class HealthServicer(health_pb2_grpc.HealthServicer):
    """Tells the status of services, which are all those of one server and change together."""

    def __init__(self, services: tuple[str, ...], most_watching: int = MAX_WATCHING) -> None:
        self._services = services
        self._most_watching = most_watching
        self.is_serving = False
        # of each who watches, oldest first: it is to look again
        self._watching: dict[asyncio.Event, None] = {}

    def switch(self, *, is_serving: bool) -> None:
        """Tell everybody; a watcher hears it when it next takes something."""
        self.is_serving = is_serving
        for nudge in self._watching:
            nudge.set()

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Context) -> Health:
        if request.service not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND)
        return Health(status=self._find(request.service))

    async def Watch(
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> AsyncIterator[Health]:
        told: int | None = None
        nudge = self._begin_watching()
        try:
            while nudge in self._watching:
                nudge.clear()  # before the look
                status = self._find(request.service)
                if status == told:
                    await nudge.wait()
                else:
                    told = status
                    yield Health(status=status)
        finally:
            self._watching.pop(nudge, None)
        raise UnavailableError("too many calls of Watch are open; watch again")

    def _begin_watching(self) -> asyncio.Event:
        """Begin a watch; if too many are open, end the oldest one."""
        if len(self._watching) == self._most_watching:
            oldest = next(iter(self._watching))
            del self._watching[oldest]
            oldest.set()
        nudge = asyncio.Event()
        self._watching[nudge] = None
        return nudge

    def _find(self, service: str) -> int:
        if service not in self._services:
            return Health.SERVICE_UNKNOWN
        return Health.SERVING if self.is_serving else Health.NOT_SERVING
