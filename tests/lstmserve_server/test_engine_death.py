"""An engine that fails ends the server loudly and tells strangers nothing."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from benchmarks.testbed.server import ServerProcess
from lstmserve.v1.generation_service_pb2_grpc import GenerationServiceStub
from support import dying_server
from support.calls import LONG, connect, find_detail, read_all

REASONS = {"python": dying_server.WHY, "torch": "out of range"}


@pytest.mark.parametrize("kind", REASONS)
def test_a_failed_engine_fails_its_calls_and_ends_the_process(
    tiny_store: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the script imports torch before the server could tell it to keep its warnings
    monkeypatch.setenv("TORCH_CPP_LOG_LEVEL", "ERROR")
    program = (str(dying_server.__file__), kind)
    with (
        ServerProcess(tiny_store, program=program) as server,
        connect(server.target, narrow=True) as narrow,
        connect(server.target) as other,
    ):
        changes = health_pb2_grpc.HealthStub(other).Watch(health_pb2.HealthCheckRequest())
        assert next(changes).status == health_pb2.HealthCheckResponse.SERVING
        calls = [GenerationServiceStub(narrow).Generate(LONG) for _ in range(4)]

        for call in calls:
            events, error = read_all(call)
            assert not any(event.HasField("completion") for event in events)
            assert error is not None
            assert error.code() is grpc.StatusCode.UNAVAILABLE
            assert find_detail(error, ErrorInfo).reason == "ENGINE_DEAD"
            assert find_detail(error, RetryInfo).retry_delay.ToTimedelta().total_seconds() > 0
            assert REASONS[kind] not in f"{error.details()}{rpc_status.from_call(error)}"
        rest, _ = read_all(changes)
        assert [change.status for change in rest] == [health_pb2.HealthCheckResponse.NOT_SERVING]

        assert server.process.wait() == 1
        entries = server.read_entries()
        (failure,) = [entry for entry in entries if entry["level"] == "error"]
        assert "the engine has failed" in failure["event"]
        assert "Traceback" in failure["exception"]
        assert REASONS[kind] in failure["exception"]
