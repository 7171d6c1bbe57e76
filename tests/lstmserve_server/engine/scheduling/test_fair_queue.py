"""Who starts next when many wait, with pencil and paper."""

from __future__ import annotations

from collections import Counter
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmserve_server.engine.request import Claim, Priority
from lstmserve_server.engine.scheduling.fair_queue import SHARES, FairQueue
from lstmserve_server.engine.scheduling.sequence import Sequence
from support.paper import make_sequence

numbers = count()


def push(
    queue: FairQueue, caller: str, tokens: int = 100, priority: Priority = Priority.NORMAL
) -> Sequence:
    """Let a request of so many tokens wait."""
    sequence = make_sequence(
        next(numbers), prompt=1, max_tokens=tokens - 1, caller=caller, priority=priority
    )
    queue.push(sequence)
    return sequence


def pop(queue: FairQueue) -> Sequence:
    sequence = queue.pop()
    assert sequence is not None
    return sequence


def callers(queue: FairQueue, number: int) -> str:
    return "".join(pop(queue).claim.caller for _ in range(number))


def test_one_callers_requests_start_in_the_order_they_came() -> None:
    queue = FairQueue()
    pushed = [push(queue, "a", tokens) for tokens in (9, 300, 20, 4)]
    assert [pop(queue) for _ in pushed] == pushed
    assert queue.pop() is None


def test_a_single_request_goes_before_ten_thousand_of_another_caller() -> None:
    queue = FairQueue()
    for _ in range(10_000):
        push(queue, "a")
    assert callers(queue, 3) == "aaa"
    push(queue, "b")
    assert callers(queue, 3) == "baa"


def test_callers_alternate_when_their_requests_cost_the_same() -> None:
    queue = FairQueue()
    for caller in "aaaabbcc":
        push(queue, caller)
    assert callers(queue, 8) == "abcabcaa"


def test_tokens_are_shared_and_not_requests() -> None:
    queue = FairQueue()
    for _ in range(4):
        push(queue, "a", 300)
    for _ in range(12):
        push(queue, "b", 100)
    assert Counter(callers(queue, 8)) == {"a": 2, "b": 6}


def test_who_was_away_has_saved_nothing_up() -> None:
    queue = FairQueue()
    for _ in range(20):
        push(queue, "a")
    assert callers(queue, 10) == "a" * 10
    for _ in range(10):
        push(queue, "b")
    assert callers(queue, 6) == "bababa"


def test_one_request_at_a_time_gets_no_more_than_many() -> None:
    queue = FairQueue()
    for _ in range(20):
        push(queue, "a")
    started = ""
    for _ in range(10):
        if "b" not in started[-1:]:
            push(queue, "b")  # as soon as its last one has started
        started += callers(queue, 1)
    assert started == "ab" * 5


def test_priorities_share_the_tokens_as_documented_and_low_is_never_starved() -> None:
    queue = FairQueue()
    for priority in Priority:
        for _ in range(200):
            push(queue, "a", 100, priority)
    started = Counter(pop(queue).claim.priority for _ in range(2 * sum(SHARES.values())))
    assert started == {priority: 2 * share for priority, share in SHARES.items()}


def test_an_urgent_request_goes_next_whoever_waits() -> None:
    queue = FairQueue()
    for caller in "abcdefgh" * 10:
        push(queue, caller, 100)
    callers(queue, 20)
    urgent = push(queue, "z", 500, Priority.HIGH)
    assert pop(queue) is urgent


def test_without_others_a_low_priority_costs_nothing() -> None:
    queue = FairQueue()
    for _ in range(50):
        push(queue, "a", 100, Priority.LOW)
    for _ in range(25):
        assert pop(queue).claim.priority is Priority.LOW
    push(queue, "a", 100, Priority.NORMAL)
    assert pop(queue).claim.priority is Priority.NORMAL


def test_what_is_taken_out_is_never_started_and_costs_nothing() -> None:
    queue = FairQueue()
    pushed = [push(queue, caller) for caller in "aabb"]
    for sequence in (pushed[0], pushed[3]):
        queue.remove(sequence)
    assert [queue.pop() for _ in range(3)] == [pushed[1], pushed[2], None]


@pytest.mark.parametrize(("own", "others", "before"), [(0, 5, 0), (2, 1, 300), (2, 5, 400)])
def test_what_starts_before_a_newcomer_is_its_share(own: int, others: int, before: int) -> None:
    queue = FairQueue()
    for _ in range(own):
        push(queue, "a")
    for _ in range(others):
        push(queue, "b")
    push(queue, "a", 1000, Priority.LOW)
    assert queue.tokens_before(Claim("a")) == before


def test_callers_without_work_are_forgotten() -> None:
    queue = FairQueue()
    waiting = push(queue, "waits")
    for number in range(1000):
        caller = str(number)
        queue.remove(push(queue, caller))
        queue.forget(caller)
    level = queue._levels[Priority.NORMAL]
    assert list(level.lines) == list(level.turns._tags) == ["waits"]
    assert pop(queue) is waiting


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(2, 500)), min_size=60, max_size=120),
    st.integers(1, 40),
)
def test_callers_who_always_wait_get_the_same_to_within_one_request_each(
    pushed: list[tuple[str, int]], turns: int
) -> None:
    """The bound of start-time fair queueing, for any sizes."""
    queue = FairQueue()
    for caller, tokens in pushed:
        push(queue, caller, tokens)
    left, got, largest = Counter(c for c, _ in pushed), Counter(), Counter()  # type: ignore[var-annotated]
    for _ in range(turns):
        if min(left[caller] for caller in "abc") <= 1:
            break
        sequence = pop(queue)
        caller = sequence.claim.caller
        left[caller] -= 1
        got[caller] += sequence.cost
        largest[caller] = max(largest[caller], sequence.cost)
        for one in "abc":
            for other in "abc":
                assert got[one] - got[other] <= largest[one] + largest[other]
