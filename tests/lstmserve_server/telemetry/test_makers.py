"""Quantiles that dashboards read off histograms are near what was observed."""

from __future__ import annotations

import itertools
from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram

from lstmserve_server.telemetry.makers import SECONDS, QuickHistogram
from lstmserve_server.telemetry.metrics import Metrics

FINE = (0.0005, 0.05)
MAX_LINES_PER_SERIES = 45


def quantile(share: float, observed: list[float]) -> float:
    """As Prometheus' ``histogram_quantile``: linear inside the bucket that holds the rank."""
    counts = [0] * (len(SECONDS) + 1)
    for value in observed:
        counts[bisect_left(SECONDS, value)] += 1
    cumulative = [*itertools.accumulate(counts)]
    rank = share * len(observed)
    place = next(place for place, count in enumerate(cumulative) if count >= rank)
    low = SECONDS[place - 1] if place else 0.0
    before = cumulative[place - 1] if place else 0
    return low + (SECONDS[place] - low) * (rank - before) / counts[place]


@pytest.mark.parametrize("share", [0.5, 0.99])
@given(st.lists(st.floats(*FINE), min_size=1, max_size=50))
def test_a_quantile_of_milliseconds_is_a_fifth_wrong_at_most(
    share: float, observed: list[float]
) -> None:
    ordered = sorted(observed)
    rank = next(n for n in range(len(ordered)) if n + 1 >= share * len(ordered))
    assert quantile(share, observed) == pytest.approx(ordered[rank], rel=0.22)


def test_bounds_ascend_from_a_tenth_of_a_millisecond_to_a_minute() -> None:
    assert [*SECONDS] == sorted(set(SECONDS))
    assert (SECONDS[0], SECONDS[-1]) == (0.0001, 60.0)


def test_a_series_takes_no_more_of_the_page_than_it_must() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.engine.step_seconds.labels("tiny", "1").observe(1)
    (family,) = [one for one in registry.collect() if one.name == "lstmserve_step_seconds"]
    assert len(family.samples) <= MAX_LINES_PER_SERIES


@given(st.lists(st.sampled_from([*SECONDS, 0.0, 100.0]) | st.floats(0, 200), max_size=30))
def test_a_histogram_counts_as_the_librarys_does(amounts: list[float]) -> None:
    told = []
    for kind in (QuickHistogram, Histogram):
        made = kind("a", "", ("rpc",), buckets=SECONDS, registry=None)
        for number, amount in enumerate(amounts):
            made.labels("b").observe(amount, {"request_id": str(number)})
        (family,) = made.collect()
        told.append(
            [
                (one.name, one.labels, one.value, one.exemplar and one.exemplar[:2])
                for one in family.samples
                if not one.name.endswith("_created")
            ]
        )
    assert told[0] == told[1]
