"""Live quality is that of the latest measured replies, counted as the evaluation counts."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from lstmserve_server.engine.output import FinishReason
from lstmserve_server.telemetry.engine import EngineMetrics
from lstmserve_server.telemetry.metrics import Metrics
from lstmserve_server.telemetry.quality import Distinct, QualityWindow
from lstmserve_training.replies import distinct as evaluated_distinct

VERSION = {"model": "tiny", "version": "1"}
WORDS = st.sampled_from(["a", "A", "b", "c", "\n", "  ", "Ünï"])
TEXTS = st.lists(st.lists(WORDS, max_size=6).map(" ".join), min_size=1, max_size=12)


def window_of(texts: Sequence[str], max_replies: int) -> QualityWindow:
    window = QualityWindow(max_replies=max_replies)
    for text in texts:
        window.add_reply(text, is_cut=False)
    return window


@given(TEXTS, st.integers(1, 5), st.sampled_from([1, 2]))
def test_distinct_is_what_the_evaluation_finds_in_the_latest_replies(
    texts: list[str], max_replies: int, n: int
) -> None:
    latest = texts[-max_replies:]
    found = window_of(texts, max_replies).distinct(n)
    if any(len(text.split()) >= n for text in latest):
        assert found == evaluated_distinct(latest, n)
    else:
        assert math.isnan(found)


@given(TEXTS)
def test_texts_that_are_taken_out_leave_nothing_behind(texts: list[str]) -> None:
    distinct = Distinct(2)
    for text in texts:
        distinct.add(text)
    for text in texts:
        distinct.remove(text)
    assert math.isnan(distinct.value)
    assert not distinct._counts


@given(st.lists(st.lists(st.floats(0, 20), max_size=5), max_size=9), st.integers(1, 8))
def test_log_perplexity_is_the_mean_of_the_latest_tokens(
    outputs: list[list[float]], max_tokens: int
) -> None:
    window = QualityWindow(max_tokens=max_tokens)
    for nats in outputs:
        window.add_tokens(nats)
    latest = [one for nats in outputs for one in nats][-max_tokens:]
    assert window.num_tokens == len(latest)
    if latest:
        assert window.log_perplexity == pytest.approx(sum(latest) / len(latest))
    else:
        assert math.isnan(window.log_perplexity)


def test_a_broken_model_shows_and_is_forgotten_once_it_is_mended() -> None:
    window = QualityWindow(max_tokens=2)
    window.add_tokens([math.inf])
    assert window.log_perplexity == math.inf
    window.add_tokens([1.0, 2.0])
    assert window.log_perplexity == 1.5


def test_shares_are_of_the_latest_replies() -> None:
    window = QualityWindow(max_replies=4)
    for text, is_cut in (("", True), ("a", True), (" \n", False), ("b", False), ("c", False)):
        window.add_reply(text, is_cut=is_cut)
    assert (window.empty_ratio, window.length_limit_ratio) == (0.25, 0.25)


def test_the_page_tells_nothing_before_there_is_something_to_tell() -> None:
    registry = CollectorRegistry()
    engine = EngineMetrics(Metrics(registry), "tiny", "1")
    assert "NaN" not in generate_latest(registry).decode()
    names = ("log_perplexity", "empty_ratio", "length_limit_ratio")
    read = registry.get_sample_value
    assert [read(f"lstmserve_quality_{name}", VERSION) for name in names] == [None] * 3
    assert read("lstmserve_quality_window_tokens", VERSION) == 0

    engine.on_scored([1.0, 2.0])
    engine.on_measured("hello hello", FinishReason.MAX_TOKENS)
    engine.on_measured("", FinishReason.END_OF_TEXT)
    assert [read(f"lstmserve_quality_{name}", VERSION) for name in names] == [1.5, 0.5, 0.5]
    distinct = "lstmserve_quality_distinct"
    assert [read(distinct, {**VERSION, "n": n}) for n in "12"] == [0.5, 1.0]


def test_what_is_kept_is_bounded() -> None:
    window = QualityWindow(max_tokens=10, max_replies=3)
    for number in range(100):
        window.add_tokens([1.0])
        window.add_reply(f"only here {number}", is_cut=False)
    assert window.num_tokens == 10
    assert sys.getsizeof(window._distinct[2]._counts) < 2000
