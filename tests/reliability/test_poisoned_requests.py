"""A request for which the engine itself fails: a bug, of which one row is the occasion.

The engine's state is one tensor for all rows, and who knows what a failed call has left in it.
So that process ends, and another one goes on with all replies but the one that ends engines.
"""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo

from benchmarks.testbed.server import ServerProcess
from benchmarks.testbed.waiting import until
from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1.generation_service_pb2_grpc import GenerationServiceStub
from support import dying_server
from support.bystanders import Expected, bystanders
from support.calls import LONG, connect, find_detail, read_all
from support.footprint import Footprint
from support.metrics_page import MetricsPage
from support.whole_reply import whole_of

POISON = pb.GenerateRequest(
    prompt="x " * dying_server.POISON_TOKENS,
    sampling=pb.SamplingParams(seed=dying_server.POISON_SEED),
)
UNCACHED = ("--cache-bytes", "0", "--state-cache-bytes", "0")
# the prompt is read in one piece
PIECES = ("--prefill-piece-tokens", "256")


def check_poisoned(error: grpc.RpcError | None) -> None:
    """It is told not to be repeated, and tells no stranger why."""
    assert error is not None
    assert error.code() is grpc.StatusCode.INTERNAL
    assert find_detail(error, ErrorInfo).reason == "POISONED_REQUEST"
    assert "do not repeat it" in str(error.details())
    assert dying_server.WHY not in str(error.details())


@pytest.mark.parametrize("kind", ["row", "prompt"])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_request_that_ends_engines_is_refused_and_all_beside_it_go_on(
    tiny_store: Path,
    expected: Expected,
    kind: str,
    workers: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Poisoned again and again, the server goes on: each time two engines end, whoever runs
    beside the poisoned request is answered exactly, and nothing is kept of those that ended.
    """
    monkeypatch.setenv("TORCH_CPP_LOG_LEVEL", "ERROR")
    program = (str(dying_server.__file__), kind)
    options = (*UNCACHED, *PIECES, "--workers", workers)
    with (
        ServerProcess(tiny_store, *options, program=program) as server,
        connect(server.target, narrow=True) as narrow,
        connect(server.target) as other,
    ):
        undisturbed = whole_of([*GenerationServiceStub(other).Generate(LONG)])
        assert whole_of([*GenerationServiceStub(narrow).Generate(LONG)]) == undisturbed
        before = Footprint.of(server)
        for _ in range(2):
            running = GenerationServiceStub(narrow).Generate(LONG)
            begun = next(running)
            _, error = read_all(GenerationServiceStub(other).Generate(POISON))
            check_poisoned(error)
            assert whole_of([begun, *running]) == undisturbed
            with bystanders(server.target, expected):
                pass
        until(lambda: Footprint.of(server).files <= before.files, "no file is kept")
        assert MetricsPage(server.metrics_url).total("engine_restarts_total") == 4
        assert server.stop() == 0
        refused = [
            entry for entry in server.read_entries() if "request that ends" in entry["event"]
        ]
        assert len(refused) == 2
