"""A request for which the engine itself fails: a bug, of which one row is the occasion.

The engine's state is one tensor for all rows, and who knows what a failed call has left in it.
So it is not trusted any more: nobody gets a reply that might be wrong.
"""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo

from benchmarks.testbed.server import ServerProcess
from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1.generation_service_pb2_grpc import GenerationServiceStub
from support import dying_server
from support.bystanders import Expected, bystanders
from support.calls import LONG, connect, find_detail, read_all
from support.footprint import Footprint
from support.metrics_page import scrape_until

POISON = pb.GenerateRequest(
    prompt="x " * dying_server.POISON_TOKENS,
    sampling=pb.SamplingParams(seed=dying_server.POISON_SEED),
)
UNCACHED = ("--cache-bytes", "0", "--state-cache-bytes", "0")
# the prompt is read in one piece
PIECES = ("--prefill-piece-tokens", "256")


def check_poisoned(error: grpc.RpcError | None) -> None:
    assert error is not None
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert find_detail(error, ErrorInfo).reason == "ENGINE_DEAD"
    assert find_detail(error, RetryInfo).HasField("retry_delay")
    assert dying_server.WHY not in str(error.details())


@pytest.mark.parametrize("kind", ["row", "prompt"])
def test_a_request_that_the_engine_fails_for_ends_the_server_loudly(
    tiny_store: Path, expected: Expected, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it decodes or reads one poisoned request, the engine fails: up to then other
    replies were exact; that request and all that run beside it end with UNAVAILABLE, whose
    text tells no stranger why, the log does, and the process ends with 1.
    """
    monkeypatch.setenv("TORCH_CPP_LOG_LEVEL", "ERROR")  # as in test_engine_death
    program = (str(dying_server.__file__), kind)
    with (
        ServerProcess(tiny_store, *UNCACHED, *PIECES, program=program) as server,
        connect(server.target, narrow=True) as narrow,
        connect(server.target) as other,
    ):
        with bystanders(server.target, expected):
            pass
        running = GenerationServiceStub(narrow).Generate(LONG)
        next(running)
        _, error = read_all(GenerationServiceStub(other).Generate(POISON))
        check_poisoned(error)
        events, error = read_all(running)
        check_poisoned(error)
        assert not any(event.HasField("completion") for event in events)
        assert server.process.wait() == 1
        entries = server.read_entries()
        (failure,) = [entry for entry in entries if entry["level"] == "error"]
        assert dying_server.WHY in failure["exception"]


def test_with_workers_a_poisoned_request_costs_its_worker_and_another_takes_its_place(
    tiny_store: Path, expected: Expected, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Poisoned again and again, the server goes on: each time one worker is replaced, whoever
    connects after that is answered exactly, and the supervisor keeps nothing of those that ended.
    """
    monkeypatch.setenv("TORCH_CPP_LOG_LEVEL", "ERROR")
    program = (str(dying_server.__file__), "poisoned")
    with ServerProcess(tiny_store, "--workers", "2", *UNCACHED, program=program) as server:
        before = Footprint.of(server)
        for restarts in (1, 2):
            with connect(server.target) as channel:
                _, error = read_all(GenerationServiceStub(channel).Generate(POISON))
            check_poisoned(error)
            scrape_until(
                server.metrics_url,
                lambda page, wanted=restarts: (
                    page.total("worker_restarts_total") == wanted and page.total("workers") == 2
                ),
            )
            with bystanders(server.target, expected):
                pass
        assert Footprint.of(server).files <= before.files
        assert server.stop() == 0
