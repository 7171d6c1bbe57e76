"""Health is for everybody, so nobody can spoil it for others."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from benchmarks.testbed.server import ServerProcess
from lstmserve_server.errors import UnavailableError
from lstmserve_server.rpc.health import HealthServicer
from support.calls import connect
from support.raw_caller import raw_caller

WATCH = "/grpc.health.v1.Health/Watch"
ALL = health_pb2.HealthCheckRequest()
SERVING = health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)
NOT_SERVING = health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.NOT_SERVING)
WAIT_SECONDS = 30.0


def test_who_takes_nothing_holds_up_neither_others_nor_the_end(tiny_store: Path) -> None:
    with (
        ServerProcess(tiny_store, "--drain-seconds", "0") as process,
        raw_caller(process.target, window_bytes=0) as silent,
        connect(process.target) as channel,
    ):
        for _ in range(10):
            silent.call(ALL, WATCH)
        health = health_pb2_grpc.HealthStub(channel)
        assert health.Check(ALL) == SERVING  # after the others: they are watching
        changes = health.Watch(ALL, timeout=WAIT_SECONDS)
        assert next(changes) == SERVING
        process.process.terminate()
        assert next(changes) == NOT_SERVING
        assert process.process.wait(WAIT_SECONDS) == 0


def test_names_are_short(server: ServerProcess) -> None:
    """Who watches may do so for ever, and what it asked is kept as long."""
    asked = health_pb2.HealthCheckRequest(service="x" * 2000)
    with connect(server.target) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            next(stub.Watch(asked, timeout=WAIT_SECONDS))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_each_change_is_told_once() -> None:
    health = HealthServicer(("",))
    changes = health.Watch(ALL, None)  # type: ignore[arg-type]  # it looks at no context
    assert await anext(changes) == NOT_SERVING
    health.switch(is_serving=False)
    health.switch(is_serving=True)
    assert await anext(changes) == SERVING


async def test_what_is_not_served_is_unknown() -> None:
    asked = health_pb2.HealthCheckRequest(service="other")
    changes = HealthServicer(("",)).Watch(asked, None)  # type: ignore[arg-type]  # as above
    unknown = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
    assert (await anext(changes)).status == unknown


async def test_too_many_who_watch_push_the_oldest_out() -> None:
    health = HealthServicer(("",), most_watching=2)
    oldest, old, new = (health.Watch(ALL, None) for _ in range(3))  # type: ignore[arg-type]  # as above
    for changes in (oldest, old, new):
        assert await anext(changes) == NOT_SERVING
    with pytest.raises(UnavailableError):
        await anext(oldest)
    health.switch(is_serving=True)
    for changes in (old, new):
        assert await anext(changes) == SERVING
