"""Which server is asked next."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from lstmserve_client.targets import _FIRST_REST_SECONDS as FIRST_REST
from lstmserve_client.targets import _MAX_REST_SECONDS as LONGEST_REST
from lstmserve_client.targets import BALANCE_FACTOR, Targets


def turns(targets: Targets, now: float, count: int) -> list[int]:
    return [targets.choose(now) for _ in range(count)]


def test_they_take_turns() -> None:
    assert turns(Targets(3), 0.0, 7) == [0, 1, 2, 0, 1, 2, 0]


def test_one_that_failed_rests_and_comes_back() -> None:
    targets = Targets(3)
    targets.failed(1, 0.0)
    assert turns(targets, FIRST_REST / 2, 4) == [0, 2, 0, 2]
    assert 1 in turns(targets, FIRST_REST, 3)


def test_it_rests_longer_each_time_but_not_for_ever() -> None:
    targets, now = Targets(2), 0.0
    for failures in range(12):
        targets.failed(0, now)
        rest = min(FIRST_REST * 2**failures, LONGEST_REST)
        assert turns(targets, now + 0.99 * rest, 2) == [1, 1]
        now += 1.01 * rest
        assert 0 in turns(targets, now, 2)


def test_calls_that_fail_together_count_once() -> None:
    targets = Targets(2)
    for _ in range(100):
        targets.failed(0, 0.0)
    assert 0 in turns(targets, FIRST_REST, 2)


def test_one_that_answers_rests_no_longer() -> None:
    targets = Targets(2)
    targets.failed(0, 0.0, retry_delay_seconds=60.0)
    targets.succeeded(0)
    assert sorted(turns(targets, 0.0, 2)) == [0, 1]


def test_if_all_rest_the_first_to_be_ready_is_asked() -> None:
    targets = Targets(2)
    targets.failed(0, 0.0, retry_delay_seconds=5.0)
    targets.failed(1, 0.0)
    assert not targets.has_ready(FIRST_REST / 2)
    assert turns(targets, FIRST_REST / 2, 3) == [1, 1, 1]
    assert targets.has_ready(FIRST_REST)


def test_a_refusal_is_told_only_when_all_refuse() -> None:
    targets = Targets(2)
    targets.failed(0, 0.0, retry_delay_seconds=5.0)
    assert targets.refusal_seconds(1.0) == 0
    targets.failed(1, 0.0, retry_delay_seconds=3.0)
    assert targets.refusal_seconds(1.0) == 2.0


def test_those_to_avoid_are_asked_only_if_there_are_no_others() -> None:
    targets = Targets(2)
    targets.failed(1, 0.0)
    assert targets.choose(0.0, avoid={0}) == 1
    assert not targets.has_ready(0.0, avoid={0})
    assert targets.choose(0.0, avoid={0, 1}) in {0, 1}
    assert not targets.has_ready(1e9, avoid={0, 1})


@given(st.integers(1, 5), st.lists(st.tuples(st.integers(0, 4), st.floats(0, 20))), st.data())
def test_one_is_always_chosen_and_a_rested_one_if_there_is_one(
    count: int, failures: list[tuple[int, float]], data: st.DataObject
) -> None:
    targets, now = Targets(count), 0.0
    for number, delay in failures:
        targets.failed(number % count, now, delay)
        now += data.draw(st.floats(0, 5))
    chosen = targets.choose(now)
    others = set(range(count)) - {chosen}
    assert targets.has_ready(now) == targets.has_ready(now, others)


def test_the_preferred_is_asked_as_long_as_it_has_no_more_than_its_share() -> None:
    targets = Targets(2)
    found = [targets.choose(0.0, preferred=(1, 0)) for _ in range(8)]
    assert found.count(1) == 6  # of 8 calls, half as many again as the mean of 4
    for number in found:
        targets.ended(number)
    assert targets.choose(0.0, preferred=(1, 0)) == 1


def test_the_preferred_is_not_asked_while_it_rests() -> None:
    targets = Targets(2)
    targets.failed(1, 0.0)
    for _ in range(4):
        assert targets.choose(0.0, preferred=(1, 0)) == 0
    assert targets.choose(FIRST_REST, preferred=(1, 0)) == 1


def test_calls_that_prefer_nobody_keep_their_turns() -> None:
    targets = Targets(3)
    assert targets.choose(0.0) == 0
    assert targets.choose(0.0, preferred=(2, 1, 0)) == 2
    assert targets.choose(0.0) == 1


@given(st.lists(st.permutations([*range(4)]), min_size=1, max_size=60))
def test_no_target_ever_has_more_than_the_bound(orders: list[list[int]]) -> None:
    targets, running = Targets(4), [0] * 4
    for order in orders:
        running[targets.choose(0.0, preferred=order)] += 1
        assert max(running) <= math.ceil(BALANCE_FACTOR * sum(running) / 4)
