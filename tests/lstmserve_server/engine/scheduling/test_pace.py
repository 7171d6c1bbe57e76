"""What the engine knows of its own speed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmserve_server.engine.scheduling.pace import ENOUGH, FadingRatio, Pace


def test_nothing_is_known_before_anything_was_measured() -> None:
    pace = Pace()
    assert pace.least_seconds(1000, 1000) == 0
    assert pace.queue_speed is None


def test_the_least_time_is_by_the_best_speeds_ever_measured() -> None:
    pace = Pace()
    for seconds in (0.9, 0.2, *[0.5] * (ENOUGH - 2)):
        # an engine that has just begun may have stood still until now
        assert pace.least_seconds(50, 10) == 0
        pace.on_read([10, 100], seconds, while_waiting=False)  # rows read side by side
        pace.on_decode(rows=64, steps=4, seconds=seconds, while_waiting=False)
    assert pace.least_seconds(50, 10) == pytest.approx(50 * 0.2 / 100 + 10 * 0.2 / 4)


def test_the_speed_of_the_queue_is_measured_while_there_is_one() -> None:
    pace = Pace()
    pace.on_decode(rows=1, steps=1, seconds=1.0, while_waiting=False)
    pace.on_end(cost=10, tokens=10)
    assert pace.queue_speed is None
    pace.on_decode(rows=4, steps=10, seconds=0.5, while_waiting=True)
    assert pace.queue_speed == pytest.approx(80)


def test_replies_that_end_early_make_the_queue_faster() -> None:
    pace = Pace()
    pace.on_decode(rows=4, steps=10, seconds=0.5, while_waiting=True)
    pace.on_end(cost=300, tokens=100)
    assert pace.queue_speed == pytest.approx(240)


@given(st.floats(1, 100), st.floats(1, 100))
def test_old_measurements_fade(before: float, after: float) -> None:
    ratio = FadingRatio(memory=10)
    for _ in range(50):
        ratio.add(before, 1)
    for _ in range(100):
        ratio.add(after, 1)
    assert ratio.value == pytest.approx(after, abs=0.01 * abs(before - after) + 1e-6)
