"""The scheduler, with pencil and paper."""

from __future__ import annotations

import pytest

from lstmserve_server.engine.request import Claim, Priority
from lstmserve_server.engine.scheduling.scheduler import Scheduler, Turn
from lstmserve_server.engine.scheduling.sequence import Sequence, Stage
from lstmserve_server.errors import QueueFullError
from support.paper import make_scheduler, make_sequence, step


def submitted(scheduler: Scheduler, number: int, first: int = 0, **what: object) -> list[Sequence]:
    """So many sequences, one after the other."""
    sequences = [make_sequence(first + n, **what) for n in range(number)]  # type: ignore[arg-type]
    for sequence in sequences:
        scheduler.submit(sequence, now=0.0)
    return sequences


def make_way(scheduler: Scheduler) -> list[Sequence]:
    """Who had to yield."""
    yielded = []
    while (sequence := scheduler.find_preempted()) is not None:
        scheduler.give_way(sequence, now=0.0)
        yielded.append(sequence)
    return yielded


def stages(sequences: list[Sequence]) -> list[Stage]:
    return [sequence.stage for sequence in sequences]


def test_who_came_first_runs_first_and_no_more_than_max_running() -> None:
    scheduler = make_scheduler(max_running=2)
    sequences = submitted(scheduler, 3)
    assert step(scheduler) == sequences[:2]
    assert (scheduler.holdings.num_active, scheduler.holdings.num_waiting) == (2, 1)


def test_a_place_that_becomes_free_is_given_away_at_once() -> None:
    scheduler = make_scheduler(max_running=1, max_waiting=1)
    first, second = submitted(scheduler, 2)
    scheduler.drop(first, now=3.0)
    assert second.stage is Stage.PREFILLING
    assert second.started_at == 3.0
    submitted(scheduler, 1, first=2)  # the queue has room again


@pytest.mark.parametrize(("rows", "most_in_a_row"), [(4, 4), (12, 4), (16, 1)])
def test_a_first_token_does_not_wait_for_a_whole_quantum(rows: int, most_in_a_row: int) -> None:
    """Few rows go on with those that are new, many wait for them; neither for ever."""
    scheduler = make_scheduler(quantum_steps=8, max_running=64)
    old = submitted(scheduler, rows)
    step(scheduler)
    running, least_steps = old, max(1, rows // 4)
    assert scheduler.next_turn() == Turn(running, 8, least_steps)
    for number in range(most_in_a_row):
        (new,) = submitted(scheduler, 1, first=rows + number)
        scheduler.take_ready()
        running = [*running, new]
        assert scheduler.next_turn() == Turn(running if rows < 16 else [new], 1, 1)
    # one that comes now cannot keep the others waiting: it takes part in their quantum
    (newer,) = submitted(scheduler, 1, first=rows + most_in_a_row)
    scheduler.take_ready()
    assert scheduler.next_turn() == Turn([*running, newer], 8, (len(running) + 1) // 4)


def test_turns_in_which_nobody_waited_for_new_rows_count_nothing() -> None:
    scheduler = make_scheduler(quantum_steps=8)
    assert scheduler.next_turn() == Turn([], 1, 1)
    for number in range(6):
        (alone,) = submitted(scheduler, 1, first=number)
        scheduler.take_ready()
        assert scheduler.next_turn() == Turn([alone], 1, 1)
        scheduler.drop(alone, now=0.0)
    old = submitted(scheduler, 1, first=6)
    step(scheduler)
    new = submitted(scheduler, 1, first=7)
    scheduler.take_ready()
    assert scheduler.next_turn() == Turn([*old, *new], 1, 1)


@pytest.mark.parametrize(
    ("rows", "steps", "least_steps"),
    [(1, 16, 1), (2, 8, 1), (7, 8, 1), (8, 8, 2), (16, 8, 4), (32, 8, 8), (64, 8, 8)],
)
def test_the_fewer_rows_the_sooner_they_end_for_who_comes_and_one_has_a_longer_quantum(
    rows: int, steps: int, least_steps: int
) -> None:
    scheduler = make_scheduler(quantum_steps=8, max_running=64, prefill_budget_tokens=1024)
    submitted(scheduler, rows)
    step(scheduler)
    turn = scheduler.next_turn()
    assert (turn.steps, turn.least_steps) == (steps, least_steps)


def test_a_quantum_is_no_longer_than_the_longest_reply_may_get() -> None:
    scheduler = make_scheduler(quantum_steps=4)
    for number, max_tokens in enumerate((2, 4)):
        submitted(scheduler, 1, first=number, max_tokens=max_tokens)
    step(scheduler)
    assert scheduler.next_turn().steps == 3


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_a_dropped_sequence_is_never_heard_of_again(steps: int) -> None:
    """Waiting, prefilling or running."""
    scheduler = make_scheduler(max_running=1, prefill_piece_tokens=2)
    (other,) = submitted(scheduler, 1)
    (sequence,) = submitted(scheduler, 1, first=1, prompt=4)
    if steps:
        scheduler.drop(other, now=0.0)
    for _ in range(steps):
        step(scheduler)
    scheduler.drop(sequence, now=0.0)
    assert sequence.stage is Stage.NONE
    assert sequence not in step(scheduler)
    assert scheduler.has_work is (steps == 0)


def test_callers_who_left_are_forgotten() -> None:
    scheduler = make_scheduler(max_running=2)
    for number in range(100):
        (sequence,) = submitted(scheduler, 1, first=number, caller=str(number))
        step(scheduler)
        scheduler.drop(sequence, now=0.0)
    assert len(scheduler._ledger) == 0
    assert not scheduler._queue._levels[Priority.NORMAL].turns._tags


# --- deadlines -----------------------------------------------------------------------


def test_who_is_late_is_found_wherever_it_is() -> None:
    scheduler = make_scheduler(max_running=1)
    (running,) = submitted(scheduler, 1, deadline=9.0)
    (waiting,) = submitted(scheduler, 1, first=1, deadline=8.0)
    submitted(scheduler, 1, first=2)
    step(scheduler)
    assert scheduler.find_late(now=7.9) is None
    assert scheduler.find_late(now=9.0) is waiting
    scheduler.drop(waiting, now=9.0)
    scheduler.park(running, now=9.0)
    assert scheduler.find_late(now=9.0) is running
    scheduler.drop(running, now=9.0)
    assert scheduler.find_late(now=1e9) is None


# --- claims that change ----------------------------------------------------------------


def test_an_amended_deadline_holds_wherever_the_sequence_is() -> None:
    scheduler = make_scheduler(max_running=2)
    parked, returning, running, prefilling, waiting = submitted(scheduler, 5, deadline=50.0)
    step(scheduler)
    for slow in (parked, returning):
        scheduler.park(slow, now=0.0)
    scheduler.unpark(returning, now=0.0)
    assert [stage.name for stage in stages([parked, returning, running, prefilling, waiting])] == [
        *("PARKED", "RETURNING", "PREFILLING", "PREFILLING", "WAITING")
    ]
    for sequence, deadline in ((parked, 7.0), (running, 8.0), (returning, 9.0), (waiting, 6.0)):
        scheduler.amend(sequence, Claim(deadline=deadline))
    found = []
    while (late := scheduler.find_late(now=20.0)) is not None:
        found.append(late)
        scheduler.drop(late, now=20.0)
    assert found == [waiting, parked, running, returning]


def test_a_deadline_that_is_put_off_does_not_end_a_reply() -> None:
    scheduler = make_scheduler()
    (sequence,) = submitted(scheduler, 1, deadline=5.0)
    scheduler.amend(sequence, Claim(deadline=9.0))
    assert scheduler.find_late(now=8.0) is None
    assert scheduler.find_late(now=9.0) is sequence


def test_who_waits_starts_by_its_new_priority() -> None:
    scheduler = make_scheduler(max_running=1)
    first, second, third = submitted(scheduler, 3)
    scheduler.amend(third, Claim(priority=Priority.HIGH))
    scheduler.drop(first, now=0.0)
    assert stages([second, third]) == [Stage.WAITING, Stage.PREFILLING]


def test_who_waits_keeps_its_place_when_only_the_deadline_changes() -> None:
    scheduler = make_scheduler(max_running=1)
    first, second, third = submitted(scheduler, 3)
    scheduler.amend(second, Claim(deadline=100.0))
    scheduler.drop(first, now=0.0)
    assert stages([second, third]) == [Stage.PREFILLING, Stage.WAITING]


def test_a_claim_that_changes_costs_its_caller_nothing() -> None:
    """However often: who starts when is as if it had come with the last one."""
    starts = []
    for num_changes in (0, 9):
        scheduler = make_scheduler(max_running=1)
        waiting = [*submitted(scheduler, 4, caller="a"), *submitted(scheduler, 4, 4, caller="b")]
        (single,) = submitted(scheduler, 1, first=8, caller="c", priority=Priority.HIGH)
        for change in range(num_changes):
            priority = list(Priority)[change % 3]
            scheduler.amend(single, Claim("ignored", priority, deadline=1e3 + change))
        scheduler.amend(single, Claim("ignored", Priority.HIGH))
        waiting.append(single)
        order = []
        while running := step(scheduler):
            order.append(running[0].id)
            scheduler.drop(running[0], now=0.0)
        assert single.claim == Claim("c", Priority.HIGH)
        assert len(scheduler._ledger) == 0
        starts.append(order)
    assert starts[0] == starts[1]


def test_a_running_reply_that_became_less_urgent_makes_way() -> None:
    scheduler = make_scheduler(max_running=2)
    greedy = submitted(scheduler, 2, caller="a", priority=Priority.HIGH)
    submitted(scheduler, 1, first=2, caller="b")
    assert make_way(scheduler) == []
    for sequence in greedy:
        scheduler.amend(sequence, Claim(priority=Priority.LOW))
    assert make_way(scheduler) == [greedy[1]]


# --- slow readers --------------------------------------------------------------------


def test_a_parked_sequence_neither_decodes_nor_holds_a_place() -> None:
    scheduler = make_scheduler(max_running=1)
    slow, next_one = submitted(scheduler, 2)
    step(scheduler)
    scheduler.park(slow, now=0.0)
    assert step(scheduler) == [next_one]
    assert slow.position == 1


def test_a_parked_sequence_returns_before_anything_new_starts() -> None:
    scheduler = make_scheduler(max_running=1)
    slow, running, waiting = submitted(scheduler, 3)
    step(scheduler)
    scheduler.park(slow, now=0.0)
    scheduler.unpark(slow, now=0.0)
    assert step(scheduler) == [running]
    scheduler.drop(running, now=0.0)
    assert step(scheduler) == [slow]
    assert stages([slow, waiting]) == [Stage.RUNNING, Stage.WAITING]


def test_an_engine_with_nothing_but_parked_sequences_rests() -> None:
    scheduler = make_scheduler()
    (slow,) = submitted(scheduler, 1)
    step(scheduler)
    scheduler.park(slow, now=0.0)
    assert not scheduler.has_work
    scheduler.unpark(slow, now=0.0)
    assert scheduler.has_work
    assert step(scheduler) == [slow]


def test_parked_sequences_take_room_in_the_queue() -> None:
    """Else slow readers could pile up without bound."""
    scheduler = make_scheduler(max_running=1, max_waiting=4)
    for number in range(3):
        (slow,) = submitted(scheduler, 1, first=number, caller=str(number))
        step(scheduler)
        scheduler.park(slow, now=0.0)
    submitted(scheduler, 2, first=3, caller="a")  # one of them runs
    with pytest.raises(QueueFullError):
        submitted(scheduler, 1, first=5, caller="b")


# --- places for everybody --------------------------------------------------------------


def test_a_caller_without_a_place_need_not_wait_while_another_has_several() -> None:
    scheduler = make_scheduler(max_running=3)
    greedy = submitted(scheduler, 10, caller="a")
    step(scheduler)
    (single,) = submitted(scheduler, 1, first=10, caller="b")
    assert make_way(scheduler) == [greedy[2]]
    assert step(scheduler) == [greedy[0], greedy[1], single]
    scheduler.drop(single, now=0.0)
    assert step(scheduler) == greedy[:3]


def test_nobody_gives_up_a_last_place() -> None:
    scheduler = make_scheduler(max_running=2)
    for number, caller in enumerate("abc"):
        submitted(scheduler, 1, first=number, caller=caller)
    assert make_way(scheduler) == []


def test_no_more_than_one_place_is_asked_for() -> None:
    scheduler = make_scheduler(max_running=4)
    submitted(scheduler, 10, caller="a")
    submitted(scheduler, 10, first=10, caller="b")
    assert len(make_way(scheduler)) == 1


def test_a_low_priority_displaces_nothing_above_it() -> None:
    scheduler = make_scheduler(max_running=2)
    submitted(scheduler, 2, caller="a", priority=Priority.NORMAL)
    submitted(scheduler, 1, first=2, caller="b", priority=Priority.LOW)
    assert make_way(scheduler) == []
    submitted(scheduler, 1, first=3, caller="c", priority=Priority.HIGH)
    assert len(make_way(scheduler)) == 1


def test_parked_replies_are_bounded_like_those_that_wait() -> None:
    """Each frees its place, so that without a bound any number could begin and be parked."""
    scheduler = make_scheduler(max_running=4, max_waiting=3)
    for number in range(3):
        (sequence,) = submitted(scheduler, 1, first=number, caller=str(number))
        scheduler.park(sequence, now=1.0)
    with pytest.raises(QueueFullError):
        submitted(scheduler, 1, first=3, caller="another")
    scheduler.unpark(sequence, now=2.0)
    submitted(scheduler, 1, first=4, caller="another")
