"""What an operator says to one worker, over one connection, all workers do."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import psutil
import pytest

from lstmserve.v1 import model_service_pb2 as pb
from lstmserve.v1.model_service_pb2_grpc import ModelServiceStub
from support.calls import connect
from support.live_server import MAX_LOOKS, Cards, LiveServer, serve_live

# that one of two workers gets none of as many connections has odds of two in a million
NUM_CONNECTIONS = 20
OPTIONS = ("--version-policy", "all", "--workers", "2")


@pytest.fixture(scope="module")
def live(
    sources: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveServer]:
    """Two workers that serve both versions from their start."""
    with serve_live(tmp_path_factory.mktemp("live"), sources, ["old", "new"], *OPTIONS) as live:
        yield live


def everywhere(live: LiveServer, condition: Callable[[Cards], object]) -> None:
    """Until something is so over every one of so many connections that each worker has some."""
    with ExitStack() as stack:
        for _ in range(NUM_CONNECTIONS):
            channel = stack.enter_context(connect(live.served.process.target))
            there = LiveServer(live.served, ModelServiceStub(channel), live.store, live.sources)
            there.until(condition)


def set_default(live: LiveServer, version: str) -> None:
    live.models.SetDefaultModel(pb.SetDefaultModelRequest(name="tiny", version=version))


def test_a_default_is_the_same_on_all_workers(live: LiveServer) -> None:
    for version in (1, 2, 1):
        set_default(live, str(version))
        everywhere(live, lambda cards, version=version: cards[version].is_default)


def test_a_version_is_unloaded_and_loaded_by_all_workers(live: LiveServer) -> None:
    set_default(live, "")
    live.models.UnloadModel(pb.UnloadModelRequest(name="tiny", version="2"))
    everywhere(live, lambda cards: cards[2].state == pb.MODEL_STATE_UNLOADED)
    live.models.LoadModel(pb.LoadModelRequest(name="tiny", version="2"))
    everywhere(live, lambda cards: cards[2].state == pb.MODEL_STATE_READY)


def test_a_worker_that_is_started_later_never_serves_otherwise(live: LiveServer) -> None:
    """Both are killed, so every connection is to one that has started since."""
    set_default(live, "1")
    everywhere(live, lambda cards: cards[1].is_default)
    for worker in psutil.Process(live.served.process.process.pid).children():
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    with connect(live.served.process.target) as channel:
        cards = first_answer(ModelServiceStub(channel)).models
    assert [(card.version, card.is_default) for card in cards] == [("2", False), ("1", True)]


def first_answer(models: ModelServiceStub) -> pb.ListModelsResponse:
    for _ in range(MAX_LOOKS):
        try:
            return models.ListModels(pb.ListModelsRequest(), wait_for_ready=True)
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.UNAVAILABLE  # noqa: PT017 - or it is raised
    raise AssertionError("nobody answers")
