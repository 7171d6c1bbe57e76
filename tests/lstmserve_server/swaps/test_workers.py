"""What an operator says to one worker, over one connection, all workers do."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import psutil
import pytest

from benchmarks.testbed.waiting import WAIT_SECONDS, until
from lstmserve.v1 import model_service_pb2 as pb
from lstmserve.v1.model_service_pb2_grpc import ModelServiceStub
from support.calls import connect
from support.live_server import Cards, LiveServer, serve_live

# that one of two workers gets none of as many connections has odds of two in a million
NUM_CONNECTIONS = 20
OPTIONS = ("--version-policy", "all", "--workers", "2")


@pytest.fixture
def live(sources: dict[str, Path], tmp_path: Path) -> Iterator[LiveServer]:
    """Two workers that serve both versions from their start."""
    with serve_live(tmp_path, sources, ["old", "new"], *OPTIONS) as live:
        yield live


def everywhere(live: LiveServer, condition: Callable[[Cards], object]) -> None:
    """Until something is so over every one of so many connections that each worker has some."""
    with ExitStack() as stack:
        for _ in range(NUM_CONNECTIONS):
            channel = stack.enter_context(connect(live.served.process.target))
            there = LiveServer(live.served, ModelServiceStub(channel), live.store, live.sources)
            there.until(condition)


def test_what_one_worker_is_told_all_do_and_those_that_are_started_later(live: LiveServer) -> None:
    for version in (1, 2):
        request = pb.SetDefaultModelRequest(name="tiny", version=str(version))
        live.models.SetDefaultModel(request)
        everywhere(live, lambda cards, version=version: cards[version].is_default)
    live.models.UnloadModel(pb.UnloadModelRequest(name="tiny", version="2"))
    everywhere(live, lambda cards: cards[2].state == pb.MODEL_STATE_UNLOADED)
    for worker in psutil.Process(live.served.process.process.pid).children():
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    with connect(live.served.process.target) as channel:
        new, old = first_answer(ModelServiceStub(channel)).models
    assert (new.version, new.state) == ("2", pb.MODEL_STATE_UNLOADED)
    assert (old.version, old.state, old.is_default) == ("1", pb.MODEL_STATE_READY, True)


def first_answer(models: ModelServiceStub) -> pb.ListModelsResponse:
    """From the first worker that listens again."""
    answers: list[pb.ListModelsResponse] = []

    def ask() -> bool:
        try:
            asked = pb.ListModelsRequest()
            answers.append(models.ListModels(asked, wait_for_ready=True, timeout=WAIT_SECONDS))
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.UNAVAILABLE  # noqa: PT017 - or it is raised
        return bool(answers)

    until(ask, "a worker answers")
    return answers[0]
