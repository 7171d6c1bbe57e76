"""Tokens per second are those of the last ten seconds, whenever somebody looks."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from lstmserve_server.telemetry.makers import RATE_WINDOW_SECONDS, SLOTS, Rate, RateGauge

SLOT_SECONDS = RATE_WINDOW_SECONDS / SLOTS


@dataclass
class Clock:
    now: float = 1e6

    def __call__(self) -> float:
        return self.now


@given(
    st.lists(st.tuples(st.floats(0, 4), st.integers(1, 100)), max_size=20),
    st.floats(0, 12),
)
def test_a_rate_counts_the_window_but_for_less_than_a_slot(
    events: list[tuple[float, int]], later: float
) -> None:
    clock = Clock()
    rate, counted = Rate(clock), []
    for pause, count in events:
        clock.now += pause
        rate.add(count)
        counted.append((clock.now, count))
    clock.now += later
    ages = [(clock.now - at, count) for at, count in counted]
    surely = sum(count for age, count in ages if age < RATE_WINDOW_SECONDS - SLOT_SECONDS)
    perhaps = sum(count for age, count in ages if age <= RATE_WINDOW_SECONDS)
    assert surely <= round(rate.read() * RATE_WINDOW_SECONDS) <= perhaps


def test_a_steady_rate_is_that_rate_and_then_none() -> None:
    clock = Clock()
    rate = Rate(clock)
    for _ in range(4 * SLOTS):
        rate.add(25)
        clock.now += SLOT_SECONDS
    assert rate.read() == pytest.approx(25 / SLOT_SECONDS, rel=1 / SLOTS)
    clock.now += RATE_WINDOW_SECONDS
    assert rate.read() == 0


def test_rates_are_told_and_forgotten_by_their_labels() -> None:
    clock, registry = Clock(), CollectorRegistry()
    gauge = RateGauge("speed", "Of things.", ("model", "version"), clock)
    registry.register(gauge)
    for version, count in (("1", 10), ("2", 20), ("2", 10)):
        gauge.labels("tiny", version).add(count)

    def read(version: str) -> float | None:
        return registry.get_sample_value("speed", {"model": "tiny", "version": version})

    assert (read("1"), read("2"), read("3")) == (1, 3, None)
    gauge.remove_by_labels({"model": "tiny", "version": "1"})
    assert (read("1"), read("2")) == (None, 3)
