"""What principals may ask, and when they may come back."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmserve_server.auth.limits import Bucket, Limits
from lstmserve_server.auth.principal import Principal, Scope
from lstmserve_server.errors import ConcurrencyLimitError, RateLimitError

RATES = st.floats(0.01, 1e5)
SIZES = st.integers(1, 50).map(float)
GENERATE = frozenset({Scope.GENERATE})
FREE = Principal("free", GENERATE)
TWO = Principal("two", GENERATE, max_concurrent=2)
SLOW = Principal("slow", GENERATE, requests_per_second=2, burst=1)


class Clock:
    """Stands still until it is set."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limits(clock: Clock) -> Limits:
    return Limits(clock)


def test_who_has_no_limits_has_none(limits: Limits) -> None:
    with ExitStack() as calls:
        for _ in range(1000):
            calls.enter_context(limits.use(FREE))


def test_no_more_run_than_may_and_an_end_of_any_kind_makes_room(limits: Limits) -> None:
    with limits.use(TWO):
        with pytest.raises(KeyError), limits.use(TWO):
            fill_up(limits)
        with limits.use(TWO):
            pass


def fill_up(limits: Limits) -> None:
    with pytest.raises(ConcurrencyLimitError, match="'two' has 2 calls running and may have 2"):
        limits.use(TWO).__enter__()
    raise KeyError


def test_the_delay_is_about_how_long_its_calls_take(limits: Limits, clock: Clock) -> None:
    def refused_for() -> float:
        with limits.use(TWO), limits.use(TWO):
            with pytest.raises(ConcurrencyLimitError) as caught:
                limits.use(TWO).__enter__()
            return caught.value.retry_seconds

    assert refused_for() == 1.0  # nothing was measured
    for seconds in (8.0,) * 100:
        with limits.use(TWO):
            clock.now += seconds
    assert refused_for() == pytest.approx(4.0, rel=0.01)
    for seconds in (1000.0,) * 100:
        with limits.use(TWO):
            clock.now += seconds
    assert refused_for() == 60.0


def test_who_asks_too_often_waits_as_long_as_told(limits: Limits, clock: Clock) -> None:
    with limits.use(SLOW):
        pass
    with pytest.raises(RateLimitError, match="2 requests a second, and 1 at once") as caught:
        limits.use(SLOW).__enter__()
    clock.now += caught.value.retry_seconds
    with limits.use(SLOW):
        pass


def test_a_refused_call_uses_up_nothing(limits: Limits, clock: Clock) -> None:
    both = replace(SLOW, max_concurrent=1)
    with limits.use(both):
        clock.now += 10
        for _ in range(5):
            with pytest.raises(ConcurrencyLimitError):
                limits.use(both).__enter__()
    with limits.use(both):
        pass
    for _ in range(5):
        with pytest.raises(RateLimitError):
            limits.use(both).__enter__()
    clock.now += 0.5
    with limits.use(both):
        pass


def test_one_principals_limits_are_none_of_another(limits: Limits) -> None:
    with limits.use(SLOW), limits.use(replace(SLOW, name="other")):
        pass


def test_limits_that_change_hold_at_once_and_remember_what_was_used(limits: Limits) -> None:
    wider, narrower = (replace(TWO, max_concurrent=number) for number in (3, 1))
    with (
        limits.use(TWO),
        limits.use(TWO),
        limits.use(wider),
        pytest.raises(ConcurrencyLimitError),
    ):
        limits.use(narrower).__enter__()
    with limits.use(SLOW), pytest.raises(RateLimitError):
        limits.use(replace(SLOW, burst=50)).__enter__()


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
