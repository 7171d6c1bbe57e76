"""So many a second, and so many at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmserve_server.auth.limits import Bucket

RATES = st.floats(0.01, 1e5)
SIZES = st.integers(1, 50).map(float)


def test_a_burst_goes_through_and_the_next_one_is_told_how_long_to_wait() -> None:
    bucket = Bucket(per_second=4, size=3, now=100)
    assert [bucket.take(100) for _ in range(3)] == [0, 0, 0]
    assert bucket.take(100) == pytest.approx(0.25)
    assert bucket.take(100.1) == pytest.approx(0.15)
    assert bucket.take(100.25) == 0


def test_it_never_holds_more_than_a_burst() -> None:
    bucket = Bucket(per_second=4, size=2, now=0)
    assert [bucket.take(1e6) > 0 for _ in range(3)] == [False, False, True]


@given(rate=RATES, size=SIZES, start=st.floats(0, 1e6))
def test_the_delay_is_honest(rate: float, size: float, start: float) -> None:
    bucket = Bucket(rate, size, start)
    for _ in range(int(size)):
        assert bucket.take(start) == 0
    wait = bucket.take(start)
    assert 0 < wait <= 1 / rate
    assert bucket.take(start + wait / 2) > 0
    # the clock itself is exact to some nanoseconds only
    assert bucket.take(start + wait + 1e-9) == 0


@given(rate=RATES, size=SIZES, gaps=st.lists(st.floats(0, 2), max_size=200))
def test_no_more_get_through_than_the_rate_and_one_burst(
    rate: float, size: float, gaps: list[float]
) -> None:
    bucket, now, taken = Bucket(rate, size, 0), 0.0, 0
    for gap in gaps:
        now += gap
        taken += bucket.take(now) == 0
    assert taken <= size + rate * now + 1e-6 * (1 + rate)
