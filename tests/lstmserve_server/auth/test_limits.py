"""What principals may ask, and when they may come back."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

import pytest

from lstmserve_server.auth.limits import Limits
from lstmserve_server.auth.principal import Principal, Scope
from lstmserve_server.errors import ConcurrencyLimitError, RateLimitError

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
    with pytest.raises(ConcurrencyLimitError, match="'two' has 2 calls running, of 2"):
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
