"""Versions of several families in one server, under load, with engines that are killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks.families.versions import SIZES, make_family_version
from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1 import model_service_pb2 as model_pb
from lstmserve.v1.generation_service_pb2_grpc import GenerationServiceStub
from support.calls import LONG, connect, read_all, text_of
from support.engine_processes import engines_of
from support.live_server import LiveServer, serve_live
from support.served import Served, serve
from support.swap_load import SwapLoad
from support.swapped_replies import SwappedReplies
from support.whole_reply import WholeReply
from support.wire_requests import conversation, copy_of, make_request

NUM_EACH = 24
CALLERS = 6


@pytest.fixture(scope="module")
def store(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("families")
    for family in SIZES:
        make_family_version(tiny_store / "tiny" / "1", folder, family)
    return folder


@pytest.fixture
def served(store: Path) -> Iterator[Served]:
    with serve(store, "--default-model", "stacked", "--cache-threshold", "1") as running:
        yield running


def make_requests(mode: pb.CacheMode) -> list[pb.GenerateRequest]:
    """Requests to every family in turn; of each a few are conversations."""
    requests = []
    for number in range(NUM_EACH):
        for family in SIZES:
            request = make_request(seed=number, max_tokens=60, min_tokens=40, temperature=1.0)
            if number % 4 == 0:
                turns = conversation("hello", "Hello! How may I help you today?", "thanks")
                request.conversation.CopyFrom(turns)
            request.model, request.cache_mode = family, mode
            requests.append(request)
    return requests


def ask_all(served: Served, requests: list[pb.GenerateRequest]) -> list[WholeReply]:
    with ThreadPoolExecutor(32) as pool:
        return [*pool.map(served.ask, requests)]


def test_replies_are_those_of_each_alone_also_when_engines_are_killed(served: Served) -> None:
    requests = make_requests(pb.CACHE_MODE_BYPASS)
    alone = [served.ask(request) for request in requests]
    assert len({reply.text for reply in alone}) > len(requests) / 2
    with ThreadPoolExecutor(1) as pool:
        together = pool.submit(ask_all, served, requests * 2)
        for engine in engines_of(served.process):
            os.kill(engine.pid, signal.SIGKILL)
        assert together.result() == alone * 2


def test_the_largest_states_fit_into_the_messages_of_a_full_batch(
    tiny_store: Path, tmp_path: Path
) -> None:
    """All prompts of a batch are read in one turn, and give their states out."""
    source = tiny_store / "tiny" / "1"
    make_family_version(source, tmp_path, "hybrid", attention=384, window=320)
    with serve(tmp_path) as served:
        requests = [make_request(f"hello {n} times {n}", seed=n) for n in range(128)]
        with ThreadPoolExecutor(64) as pool:
            assert len([*pool.map(served.ask, requests)]) == len(requests)
        assert not any(served.page().values("engine_restarts_total", "reason").values())


def test_replies_are_kept_and_conversations_go_on_from_their_states(served: Served) -> None:
    requests = make_requests(pb.CACHE_MODE_UNSPECIFIED)
    first, second = ask_all(served, requests), ask_all(served, requests)
    assert second == first
    lookups = served.page().values("state_cache_lookups_total", "store", "outcome")
    assert lookups["memory", "hit"] > 0


def test_one_family_takes_over_from_another_under_load(store: Path, tmp_path: Path) -> None:
    """Each family in turn, as versions of one model; whatever runs meanwhile ends as it began."""
    sources = {family: store / family / "1" for family in SIZES}
    first, *others = sources
    with serve_live(tmp_path / "all", sources, [*sources], "--version-policy", "all") as every:
        expected = SwappedReplies(every)
    with (
        serve_live(tmp_path / "live", sources, [first]) as live,
        SwapLoad(live, expected, CALLERS) as load,
    ):
        for before, family in enumerate(others, start=1):
            assert set(load.replies(CALLERS)) == {before}
            swap_around_a_long_reply(live, before, family)
            assert set(load.replies(CALLERS)) == {before + 1}


def swap_around_a_long_reply(live: LiveServer, before: int, family: str) -> None:
    """Swap while a reply of the version before runs, which nobody reads until that is done."""
    request = copy_of(LONG)
    request.cache_mode = pb.CACHE_MODE_BYPASS
    with connect(live.served.process.target, narrow=True) as narrow:
        generation = GenerationServiceStub(narrow)
        undisturbed, _ = read_all(generation.Generate(request))
        stream = generation.Generate(request)
        assert next(stream).started.model_version == str(before)
        live.until_state(live.put(family), model_pb.MODEL_STATE_READY)
        live.until_state(before, model_pb.MODEL_STATE_UNLOADING)
        rest, error = read_all(stream)
    assert error is None
    assert text_of(rest) == text_of(undisturbed)
    live.until_state(before, model_pb.MODEL_STATE_UNLOADED)
