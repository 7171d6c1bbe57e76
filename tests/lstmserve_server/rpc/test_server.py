"""Which method a call is for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2_grpc

from lstmserve_server.rpc.health import HealthServicer
from lstmserve_server.rpc.server import Methods


@pytest.fixture
def methods() -> Methods:
    made = Methods()
    health_pb2_grpc.add_HealthServicer_to_server(HealthServicer(("",)), made)
    return made


def find(methods: Methods, method: str) -> grpc.RpcMethodHandler[Any, Any] | None:
    return methods.service(SimpleNamespace(method=method, invocation_metadata=()))


def test_what_generated_code_registers_is_found_by_its_name(methods: Methods) -> None:
    check, watch = [find(methods, f"/grpc.health.v1.Health/{rpc}") for rpc in ("Check", "Watch")]
    assert check is not None
    assert watch is not None
    assert (check.response_streaming, watch.response_streaming) == (False, True)


@pytest.mark.parametrize("method", ["/grpc.health.v1.Health/Chec", "/Check", ""])
def test_nothing_else_is_found(methods: Methods, method: str) -> None:
    assert find(methods, method) is None


async def test_what_is_found_is_served(methods: Methods) -> None:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((methods,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        response = await channel.unary_unary("/grpc.health.v1.Health/Check")(b"")
    await server.stop(None)
    assert response == b"\x08\x02"  # NOT_SERVING: it was never switched on
