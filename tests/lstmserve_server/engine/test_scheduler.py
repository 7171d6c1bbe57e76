"""The scheduler, with pencil and paper."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmserve_server.config import EngineConfig
from lstmserve_server.engine.request import GenerationRequest, SamplingParams
from lstmserve_server.engine.scheduler import Scheduler
from lstmserve_server.engine.sequence import Sequence
from lstmserve_server.engine.slots import Slots
from lstmserve_server.errors import QueueFullError


class _Text:
    """Stands for the text of a reply that has not ended."""

    finish_reason = None
    stop_sequence = ""

    def push(self, token_id: int) -> str:
        return str(token_id)


def make_sequence(number: int, prompt: int = 1, max_tokens: int = 100) -> Sequence:
    request = GenerationRequest(tuple(range(prompt)), SamplingParams(), max_tokens)
    return Sequence(number, request, _Text(), arrived_at=0.0)  # type: ignore[arg-type]


def make_scheduler(**bounds: int) -> Scheduler:
    return Scheduler(EngineConfig(**bounds))


def test_who_came_first_runs_first_and_no_more_than_max_running() -> None:
    scheduler = make_scheduler(max_running=2)
    sequences = [make_sequence(n) for n in range(3)]
    for sequence in sequences:
        scheduler.submit(sequence)
    assert scheduler.admit() == sequences[:2]
    assert scheduler.admit() == []
    assert (scheduler.num_running, scheduler.num_waiting) == (2, 1)


def test_a_full_queue_refuses_and_says_when_to_come_back() -> None:
    scheduler = make_scheduler(max_running=1, max_waiting=1)
    for number in range(2):
        scheduler.submit(make_sequence(number))
    with pytest.raises(QueueFullError) as caught:
        scheduler.submit(make_sequence(2))
    assert caught.value.retry_seconds > 0


def test_a_burst_that_fits_into_free_rows_is_never_refused() -> None:
    scheduler = make_scheduler(max_running=8, max_waiting=0)
    for number in range(8):
        scheduler.submit(make_sequence(number))
    with pytest.raises(QueueFullError):
        scheduler.submit(make_sequence(8))
    assert len(scheduler.admit()) == 8
    with pytest.raises(QueueFullError):
        scheduler.submit(make_sequence(9))


def test_prompts_are_read_in_bounded_pieces_all_but_their_last_token() -> None:
    scheduler = make_scheduler(prefill_piece_tokens=4)
    sequence = make_sequence(0, prompt=8)
    scheduler.submit(sequence)
    scheduler.admit()
    pieces = []
    while piece := scheduler.next_pieces():
        pieces.append(piece[0].token_ids)
        sequence.num_read += len(piece[0].token_ids)
    assert pieces == [(0, 1, 2, 3), (4, 5, 6)]
    assert scheduler.take_ready() == [sequence]
    assert sequence.next_input == 7


def test_a_first_token_does_not_wait_for_a_whole_quantum() -> None:
    scheduler = make_scheduler(quantum_steps=8)
    old, new = make_sequence(0), make_sequence(1)
    scheduler.slots.join(old)
    old.extend([1], [], now=0.0)
    assert scheduler.next_steps() == 8
    scheduler.slots.join(new)
    assert scheduler.next_steps() == 1


def test_a_quantum_is_no_longer_than_the_longest_reply_may_get() -> None:
    scheduler = make_scheduler(quantum_steps=8)
    for number, max_tokens in enumerate((2, 4)):
        sequence = make_sequence(number, max_tokens=max_tokens)
        scheduler.slots.join(sequence)
        sequence.extend([1], [], now=0.0)
    assert scheduler.next_steps() == 3


@pytest.mark.parametrize("admitted", [False, True])
def test_a_dropped_sequence_is_never_heard_of_again(*, admitted: bool) -> None:
    scheduler = make_scheduler()
    sequence = make_sequence(0)
    scheduler.submit(sequence)
    if admitted:
        scheduler.admit()
    scheduler.drop(sequence)
    scheduler.drop(sequence)
    assert not scheduler.has_work
    assert scheduler.admit() == []
    assert scheduler.take_ready() == []


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 20)), max_size=60))
def test_rows_stay_dense_whoever_comes_and_goes(moves: list[tuple[bool, int]]) -> None:
    slots, rows, count = Slots(), [], 0
    for joins, place in moves:
        if joins:
            sequence = make_sequence(count)
            count += 1
            assert slots.join(sequence) == len(rows)
            rows.append(sequence)
        elif rows:
            target, source = slots.leave(rows[place % len(rows)])
            assert source == len(rows) - 1
            rows[target] = rows[source]  # what the runner does with the states
            rows.pop()
        assert slots.sequences == rows
