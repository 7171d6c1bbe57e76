"""Versions are swapped under load, and no caller can tell but by the version that it is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lstmserve.v1 import model_service_pb2 as pb
from lstmserve.v1.generation_service_pb2_grpc import GenerationServiceStub
from support.calls import LONG, connect, read_all, text_of
from support.live_server import LiveServer, serve_live
from support.metrics_page import MetricsPage, scrape_until
from support.swap_load import SwapLoad
from support.swapped_replies import SwappedReplies

CALLERS = 6
GAUGES = ("model_bytes", "state_bytes", "running_sequences", "model_traffic_share")


@pytest.fixture(scope="module")
def live(
    sources: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveServer]:
    """A server that serves the latest version: at first the old weights."""
    with serve_live(tmp_path_factory.mktemp("live"), sources, ["old"]) as live:
        yield live


def states(page: MetricsPage, version: int) -> set[str]:
    """What a version is in by the metrics; exactly one, if it is known."""
    values = page.values("model_state", "version", "state")
    return {state for (number, state), value in values.items() if number == str(version) and value}


def test_a_new_version_takes_over_under_load_without_a_failed_reply(
    live: LiveServer, expected: SwappedReplies
) -> None:
    before = max(live.weights)
    ended_before = live.served.page().counted("requests_total", "code")
    with SwapLoad(live, expected, CALLERS) as load:
        assert set(load.replies(10)) == {before}
        after = live.put("new" if live.weights[before] == "old" else "old")
        live.until_state(after, pb.MODEL_STATE_READY)
        live.until_state(before, pb.MODEL_STATE_UNLOADED)
        assert set(load.replies(10)) == {after}
    page = scrape_until(live.served.process.metrics_url, lambda page: states(page, after))
    assert states(page, after) == {"ready"}
    assert states(page, before) == {"unloaded"}
    for name in GAUGES:
        assert set(page.values(name, "version")) == {(str(after),)}, name
    generated = page.values("generated_tokens_total", "version")
    assert all(generated[str(version),] > 0 for version in (before, after))
    ended = page.counted("requests_total", "code")
    assert ended.pop(("OK",)) > ended_before.pop(("OK",), 0)
    assert ended == ended_before


def test_a_slow_reader_keeps_its_version_to_the_end(live: LiveServer) -> None:
    begun_on = max(live.weights)
    with (
        connect(live.served.process.target) as other,
        connect(live.served.process.target, narrow=True) as narrow,
    ):
        undisturbed, error = read_all(GenerationServiceStub(other).Generate(LONG))
        assert error is None
        stream = GenerationServiceStub(narrow).Generate(LONG)
        started = next(stream).started
        assert int(started.model_version) == begun_on
        after = live.put("new" if live.weights[begun_on] == "old" else "old")
        live.until_state(begun_on, pb.MODEL_STATE_UNLOADING)
        assert live.answering() == after
        with pytest.raises(Exception, match=f"served are: {after}"):
            live.answering(model_version=str(begun_on))
        page = live.served.page()
        assert states(page, begun_on) == {"unloading"}
        assert (str(begun_on),) in page.values("model_bytes", "version")
        rest, error = read_all(stream)
        assert error is None
        assert rest[-1].HasField("completion")
        assert text_of(rest) == text_of(undisturbed)
    live.until_state(begun_on, pb.MODEL_STATE_UNLOADED)
    scrape_until(
        live.served.process.metrics_url,
        lambda page: (str(begun_on),) not in page.values("model_bytes", "version"),
    )
