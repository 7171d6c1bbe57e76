"""Who is refused, and what is said of when to come back; with pencil and paper."""

from __future__ import annotations

from itertools import count

import pytest

from lstmserve_server.engine.request import Priority
from lstmserve_server.engine.scheduling.admission import (
    DEFAULT_RETRY_SECONDS,
    LEAST_RETRY_SECONDS,
    MOST_RETRY_SECONDS,
)
from lstmserve_server.engine.scheduling.pace import ENOUGH, Pace
from lstmserve_server.engine.scheduling.scheduler import Scheduler
from lstmserve_server.errors import (
    CallerShareError,
    DeadlineInfeasibleError,
    QueueFullError,
    QueueTokensFullError,
)
from support.paper import make_scheduler, make_sequence

numbers = count()


def submit(scheduler: Scheduler, caller: str = "", tokens: int = 100, **more: object) -> None:
    """A request of so many tokens."""
    sequence = make_sequence(next(numbers), 1, tokens - 1, caller=caller, **more)  # type: ignore[arg-type]
    scheduler.submit(sequence, now=0.0)


def fill(scheduler: Scheduler, caller: str = "", tokens: int = 100) -> int:
    """Submit until refused; how many were let in."""
    for admitted in count():
        try:
            submit(scheduler, caller, tokens)
        except QueueFullError:
            return admitted
    raise AssertionError


def measured(cost_per_second: float) -> Pace:
    """A queue known to move at this speed; of single requests too little is known."""
    pace = Pace()
    pace.on_decode(rows=1, steps=1, seconds=1 / cost_per_second, while_waiting=True)
    pace.on_end(cost=1, tokens=1)
    return pace


def test_a_full_queue_refuses() -> None:
    scheduler = make_scheduler(max_running=1, max_waiting=1)
    for caller in "ab":
        submit(scheduler, caller)
    with pytest.raises(QueueFullError):
        submit(scheduler, "c")


def test_a_burst_that_fits_into_free_places_is_never_refused() -> None:
    scheduler = make_scheduler(max_running=8, max_waiting=0, max_waiting_tokens=1)
    assert fill(scheduler) == 8
    assert scheduler.holdings.num_active == 8


def test_the_queue_is_bounded_by_tokens_too() -> None:
    scheduler = make_scheduler(max_running=1, max_waiting=100, max_waiting_tokens=1000)
    for caller in "abcde":
        submit(scheduler, caller, tokens=249)
    assert scheduler.holdings.waiting_tokens == 996
    with pytest.raises(QueueTokensFullError):
        submit(scheduler, "f", tokens=5)
    submit(scheduler, "f", tokens=4)


def test_what_is_known_of_a_prompt_takes_no_room() -> None:
    scheduler = make_scheduler(max_running=1)
    submit(scheduler)
    scheduler.submit(make_sequence(next(numbers), 1000, 50, num_known=990), now=0.0)
    assert scheduler.holdings.waiting_tokens == 60


def test_a_request_larger_than_the_bound_on_tokens_may_wait_alone() -> None:
    scheduler = make_scheduler(max_running=1, max_waiting_tokens=50)
    submit(scheduler, "a")
    submit(scheduler, "b")
    with pytest.raises(QueueTokensFullError):
        submit(scheduler, "c", tokens=2)


def test_a_caller_alone_may_use_four_fifths_of_the_queue() -> None:
    scheduler = make_scheduler(max_running=1, max_waiting=900)
    submit(scheduler, "a")
    assert fill(scheduler, "a") == pytest.approx(720, abs=1)
    with pytest.raises(CallerShareError):
        submit(scheduler, "a")
    submit(scheduler, "b")


def test_a_caller_may_not_fill_the_queue_with_tokens_either() -> None:
    scheduler = make_scheduler(max_running=1, max_waiting=900, max_waiting_tokens=9000)
    submit(scheduler, "a")
    assert fill(scheduler, "a", tokens=1000) == 7
    with pytest.raises(CallerShareError):
        submit(scheduler, "a", tokens=1000)
    submit(scheduler, "b", tokens=1000)


def test_beside_one_that_fills_the_queue_there_is_room_for_others() -> None:
    scheduler = make_scheduler(max_running=1, max_waiting=900)
    submit(scheduler)
    for _ in range(3):
        for caller in "abc":
            fill(scheduler, caller)
    submit(scheduler, "newcomer")


def test_of_a_full_queue_every_place_that_becomes_free_is_for_those_with_little() -> None:
    scheduler = make_scheduler(max_running=1, max_waiting=900)
    running = make_sequence(next(numbers))
    scheduler.submit(running, now=0.0)
    for caller in "abcdefgh":
        fill(scheduler, caller)
    with pytest.raises(QueueFullError):
        submit(scheduler, "newcomer")
    scheduler.drop(running, now=0.0)
    for caller in "abc":
        with pytest.raises(CallerShareError):
            submit(scheduler, caller)
    submit(scheduler, "newcomer")


@pytest.mark.parametrize("max_waiting", range(2, 40))
def test_the_last_place_is_for_somebody_who_has_none(max_waiting: int) -> None:
    scheduler = make_scheduler(max_running=1, max_waiting=max_waiting)
    submit(scheduler, "a")
    assert fill(scheduler, "a") < max_waiting
    submit(scheduler, "b")


def retry_seconds(scheduler: Scheduler) -> float:
    fill(scheduler)
    with pytest.raises(QueueFullError) as caught:
        submit(scheduler)
    return caught.value.retry_seconds


def test_come_back_when_all_that_waits_now_has_started() -> None:
    scheduler = make_scheduler(measured(cost_per_second=500), max_running=1, max_waiting=40)
    seconds = retry_seconds(scheduler)
    assert seconds == pytest.approx(scheduler.holdings.waiting_tokens / 500)
    assert seconds > 5


@pytest.mark.parametrize(
    ("cost_per_second", "seconds"), [(1e9, LEAST_RETRY_SECONDS), (1e-3, MOST_RETRY_SECONDS)]
)
def test_the_delay_is_within_bounds(cost_per_second: float, seconds: float) -> None:
    scheduler = make_scheduler(measured(cost_per_second), max_running=1, max_waiting=40)
    assert retry_seconds(scheduler) == seconds


def test_the_delay_has_a_default_before_anything_was_measured() -> None:
    assert retry_seconds(make_scheduler(max_running=1)) == DEFAULT_RETRY_SECONDS


def least_work_measured() -> Pace:
    """A token is read in 1 ms and decoded in 10 ms at the best."""
    pace = Pace()
    for _ in range(ENOUGH):
        pace.on_read([100], 0.1, while_waiting=False)
        pace.on_decode(rows=1, steps=10, seconds=0.1, while_waiting=False)
    return pace


@pytest.mark.parametrize(
    ("prompt", "num_known", "min_tokens", "least"),
    [(101, 0, 0, 0.11), (1, 0, 0, 0.01), (1, 0, 50, 0.5), (101, 0, 50, 0.6), (101, 80, 0, 0.03)],
)
def test_a_deadline_shorter_than_the_least_work_is_refused_at_once(
    prompt: int, num_known: int, min_tokens: int, least: float
) -> None:
    def try_with(seconds: float) -> None:
        scheduler = make_scheduler(least_work_measured())
        sequence = make_sequence(
            0, prompt, min_tokens=min_tokens, deadline=7.0 + seconds, num_known=num_known
        )
        scheduler.submit(sequence, now=7.0)

    try_with(least * 1.01)
    with pytest.raises(DeadlineInfeasibleError):
        try_with(least * 0.99)


def test_a_deadline_that_has_passed_is_refused_even_if_nothing_was_measured() -> None:
    with pytest.raises(DeadlineInfeasibleError):
        submit(make_scheduler(), deadline=0.0)
    submit(make_scheduler(), deadline=0.001)


def test_a_deadline_within_half_of_the_queues_time_is_refused() -> None:
    scheduler = make_scheduler(measured(cost_per_second=100), max_running=1)
    for _ in range(11):  # one runs
        submit(scheduler)
    submit(scheduler, deadline=5.01)
    with pytest.raises(DeadlineInfeasibleError):
        submit(scheduler, deadline=4.99)


def test_the_queue_of_others_and_of_other_priorities_is_not_waited_for() -> None:
    scheduler = make_scheduler(measured(cost_per_second=100), max_running=1)
    for _ in range(100):
        submit(scheduler, "a")
    submit(scheduler, "b", deadline=0.01)
    submit(scheduler, "a", priority=Priority.HIGH, deadline=0.01)
