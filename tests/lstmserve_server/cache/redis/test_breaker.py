"""When Redis is left alone, and when it is asked again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lstmserve_server.cache.redis.breaker import Breaker, Breakers, Phase


class Clock:
    """Stands still unless told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def open_breaker(clock: Clock) -> Breaker:
    breaker = Breaker(3, 1.0, clock)
    assert [breaker.record(is_success=False) for _ in range(3)] == [False, False, True]
    return breaker


def test_opens_after_failures_in_a_row_only() -> None:
    breaker = Breaker(3, 1.0, Clock())
    ends = (False, False, True, False, False, True)
    assert not any(breaker.record(is_success=is_success) for is_success in ends)
    assert breaker.is_closed


def test_is_probed_at_growing_intervals_and_closed_by_the_first_success() -> None:
    clock = Clock()
    breaker = open_breaker(clock)
    for seconds in (1.0, 2.0, 4.0):
        assert breaker.seconds_to_probe() == seconds
        clock.now += seconds
        assert breaker.seconds_to_probe() == 0
        breaker.begin_probe()
        assert breaker.phase is Phase.HALF_OPEN
        breaker.end_probe(is_success=False)
        assert breaker.phase is Phase.OPEN
    breaker.begin_probe()
    breaker.end_probe(is_success=True)
    assert breaker.is_closed


def test_begins_with_the_shortest_interval_each_time_it_opens() -> None:
    clock = Clock()
    breaker = open_breaker(clock)
    for is_success in (False, False, True):
        breaker.begin_probe()
        breaker.end_probe(is_success=is_success)
    assert [breaker.record(is_success=False) for _ in range(3)] == [False, False, True]
    assert breaker.seconds_to_probe() == 1.0


@given(st.lists(st.booleans(), max_size=30))
def test_late_answers_change_nothing_while_it_is_open(ends: list[bool]) -> None:
    breaker = open_breaker(Clock())
    assert not any(breaker.record(is_success=is_success) for is_success in ends)
    assert breaker.phase is Phase.OPEN
    assert breaker.seconds_to_probe() == 1.0


def test_intervals_may_have_a_limit() -> None:
    clock = Clock()
    breaker = Breaker(1, 1.0, clock, most_seconds=2.0)
    breaker.record(is_success=False)
    for seconds in (1.0, 2.0, 2.0):
        assert breaker.seconds_to_probe() == seconds
        clock.now += seconds
        breaker.begin_probe()
        breaker.end_probe(is_success=False)


def test_each_server_is_left_alone_by_itself_and_probed_in_turn() -> None:
    clock = Clock()
    breakers = Breakers(lambda: Breaker(1, 1.0, clock))
    assert not breakers.are_open
    for place in ("a", "b"):
        assert breakers.are_closed is (place == "a")
        breakers.of(place).record(is_success=False)
        assert breakers.are_open
        clock.now += 0.25
    assert breakers.of("c").is_closed
    assert not breakers.are_open
    place, breaker = breakers.find_next()
    assert (place, breaker.seconds_to_probe()) == ("a", 0.5)
    breaker.end_probe(is_success=True)
    assert breakers.find_next()[0] == "b"
    assert not breakers.are_closed
    breakers.of("b").end_probe(is_success=True)
    assert breakers.are_closed
