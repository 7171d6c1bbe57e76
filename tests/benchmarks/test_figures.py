"""Figures of recordings whose results are known."""

from __future__ import annotations

from math import isnan, nan

import pytest

from benchmarks.load.figures import compute_figures
from benchmarks.load.recording import Recording, ReplyRecord, Window

WINDOW = Window(start=10.0, end=12.0)


def record(*messages: tuple[float, int, float]) -> Recording:
    recording = Recording()
    for arrival, tokens, gap in messages:
        recording.arrivals.append(arrival)
        recording.tokens.append(tokens)
        recording.gaps.append(gap)
    return recording


def test_rates_count_what_arrived_in_the_window() -> None:
    recording = record((9.9, 5, nan), (10.0, 1, nan), (11.0, 3, 1.0), (11.9, 2, nan), (12.0, 9, 1))
    figures = compute_figures(recording, WINDOW)
    assert figures.tokens_per_second == 3
    assert figures.messages_per_second == 1.5
    assert figures.tokens_per_message == 2


def test_the_gap_before_a_message_is_shared_by_its_tokens() -> None:
    figures = compute_figures(record((10.5, 1, nan), (10.9, 4, 0.4), (11.0, 1, 0.1)), WINDOW)
    assert figures.inter_message_ms.max == pytest.approx(400)
    assert figures.inter_token_ms.max == pytest.approx(100)
    assert figures.inter_token_ms.p50 == pytest.approx(100)


def test_latencies_count_from_the_intended_moment() -> None:
    recording = Recording()
    # meant for 10.0, sent late, answered at 10.5, over at 11.0
    recording.replies.append(ReplyRecord(10.0, 10.5, 11.0, 8, "OK"))
    figures = compute_figures(recording, WINDOW)
    assert figures.first_token_ms.p50 == pytest.approx(500)
    assert figures.reply_ms.p50 == pytest.approx(1000)
    assert figures.requests_per_second == 0.5


def test_the_slowest_count_although_they_end_after_the_window() -> None:
    recording = Recording()
    recording.replies.append(ReplyRecord(11.9, 12.5, 20.0, 8, "OK"))
    recording.replies.append(ReplyRecord(9.0, 9.1, 11.0, 8, "OK"))  # meant before it
    figures = compute_figures(recording, WINDOW)
    assert figures.replies == 1
    assert figures.reply_ms.max == pytest.approx(8100)


def test_failures_are_counted_by_code_and_not_as_latencies() -> None:
    recording = Recording()
    recording.replies.append(ReplyRecord(10.5, nan, 10.6, 0, "RESOURCE_EXHAUSTED"))
    recording.replies.append(ReplyRecord(10.6, nan, 10.7, 0, "RESOURCE_EXHAUSTED"))
    # one that hung since before the window
    recording.replies.append(ReplyRecord(5.0, nan, 42.0, 0, "UNFINISHED"))
    recording.replies.append(ReplyRecord(5.0, nan, 6.0, 0, "UNAVAILABLE"))
    figures = compute_figures(recording, WINDOW)
    assert figures.errors == {"RESOURCE_EXHAUSTED": 2, "UNFINISHED": 1}
    assert figures.replies == 0
    assert isnan(figures.reply_ms.p99)


def test_nothing_at_all_gives_zeros_and_no_latencies() -> None:
    figures = compute_figures(Recording(), WINDOW)
    assert figures.tokens_per_second == 0
    assert isnan(figures.first_token_ms.p50)
