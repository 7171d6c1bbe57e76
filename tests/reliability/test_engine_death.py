"""Engines that die under running replies: callers see a pause, or, at the very end, one error."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from benchmarks.testbed.server import ServerProcess
from benchmarks.testbed.waiting import until
from lstmserve.v1.generation_service_pb2_grpc import GenerationServiceStub
from support import dying_server
from support.bystanders import Expected, bystanders
from support.calls import LONG, connect, find_detail, read_all
from support.engine_processes import engines_of, has_ended
from support.metrics_page import MetricsPage
from support.whole_reply import whole_of

UNCACHED = ("--cache-bytes", "0", "--state-cache-bytes", "0")


@pytest.fixture(autouse=True)
def quiet_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The script imports torch before the server could tell it to keep its warnings."""
    monkeypatch.setenv("TORCH_CPP_LOG_LEVEL", "ERROR")


def restarts(server: ServerProcess) -> dict[str, float]:
    values = MetricsPage(server.metrics_url).values("engine_restarts_total", "reason")
    return {reason: count for (reason,), count in values.items() if count}


@pytest.mark.parametrize(
    ("kind", "reason"), [("python", "error"), ("torch", "error"), ("signal", "crash")]
)
def test_engines_that_fail_again_and_again_make_the_same_replies(
    tiny_store: Path, expected: Expected, kind: str, reason: str
) -> None:
    program = (str(dying_server.__file__), kind)
    with (
        ServerProcess(tiny_store, *UNCACHED, program=program) as server,
        connect(server.target) as channel,
    ):
        whole = [whole_of([*GenerationServiceStub(channel).Generate(LONG)]) for _ in range(3)]
        assert len({*whole}) == 1
        with bystanders(server.target, expected):
            pass
        assert restarts(server).keys() == {reason}
        assert server.stop() == 0
        failures = [entry for entry in server.read_entries() if entry["level"] == "error"]
        assert {entry["event"] for entry in failures} == {
            "an engine has ended; another one goes on with its replies"
        }


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGSTOP])
def test_an_engine_that_is_killed_or_stopped_costs_nobody_a_reply(
    tiny_store: Path, expected: Expected, number: signal.Signals
) -> None:
    """The last of them hears nothing any more, and is killed after some seconds of silence."""
    with ServerProcess(tiny_store, *UNCACHED) as server, connect(server.target) as channel:
        undisturbed = whole_of([*GenerationServiceStub(channel).Generate(LONG)])
        (engine,) = engines_of(server)
        calls = [GenerationServiceStub(channel).Generate(LONG) for _ in range(8)]
        begun = [next(call) for call in calls]
        os.kill(engine.pid, number)
        with bystanders(server.target, expected):
            replies = {whole_of([first, *call]) for first, call in zip(begun, calls, strict=True)}
        assert replies == {undisturbed}
        assert restarts(server) in ({"killed": 1}, {"crash": 1}, {"hang": 1})
        assert has_ended(engine)
        assert len(engines_of(server)) == 1


def test_no_engine_outlives_its_server(tiny_store: Path) -> None:
    with ServerProcess(tiny_store) as server:
        (engine,) = engines_of(server)
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
        until(lambda: has_ended(engine), "the engine has ended")


def test_a_server_whose_engine_cannot_be_kept_alive_ends_loudly(tiny_store: Path) -> None:
    program = (str(dying_server.__file__), "stillborn")
    with (
        ServerProcess(tiny_store, *UNCACHED, program=program) as server,
        connect(server.target, narrow=True) as narrow,
        connect(server.target) as other,
    ):
        changes = health_pb2_grpc.HealthStub(other).Watch(health_pb2.HealthCheckRequest())
        assert next(changes).status == health_pb2.HealthCheckResponse.SERVING
        calls = [GenerationServiceStub(narrow).Generate(LONG) for _ in range(4)]
        with ThreadPoolExecutor(len(calls)) as pool:
            ended = [*pool.map(read_all, calls)]
        for events, error in ended:
            assert not any(event.HasField("completion") for event in events)
            assert error is not None
            assert error.code() is grpc.StatusCode.UNAVAILABLE
            assert find_detail(error, ErrorInfo).reason == "ENGINE_DEAD"
            assert find_detail(error, RetryInfo).retry_delay.ToTimedelta().total_seconds() > 0
            assert dying_server.WHY not in f"{error.details()}{rpc_status.from_call(error)}"
        rest, _ = read_all(changes)
        assert [change.status for change in rest] == [health_pb2.HealthCheckResponse.NOT_SERVING]
        assert server.process.wait() == 1
        failures = [entry for entry in server.read_entries() if entry["level"] == "error"]
        assert "the engine has failed" in failures[-1]["event"]
        assert dying_server.WHY in failures[-1]["exception"]
