"""Which prompts are prefilled next: bounded together, and short ones soon."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lstmserve_server.engine.scheduling.prefill import cut_chunks
from lstmserve_server.engine.scheduling.sequence import Sequence
from support.paper import make_sequence


def unread(*lengths: int) -> list[Sequence]:
    """Prompts with so many tokens to read before decoding, oldest first."""
    return [make_sequence(number, prompt=length + 1) for number, length in enumerate(lengths)]


def read(prompts: list[Sequence], chunk: int, budget: int) -> dict[int, int]:
    """One step: the tokens prefilled of each prompt, by its number."""
    chunks = cut_chunks(prompts, chunk, budget)
    for one in chunks:
        one.sequence.num_prefilled += len(one.token_ids)
    return {one.sequence.id: len(one.token_ids) for one in chunks}


def test_a_prompt_is_read_in_pieces_all_but_its_last_token() -> None:
    (sequence,) = prompts = unread(7)
    chunks = []
    while cut := cut_chunks(prompts, chunk=4, budget=100):
        chunks.append(cut[0].token_ids)
        sequence.num_prefilled += len(cut[0].token_ids)
    assert chunks == [(0, 1, 2, 3), (4, 5, 6)]
    assert sequence.next_input == 7


def test_all_prompts_together_get_no_more_than_the_budget() -> None:
    prompts = unread(*[4000] * 64)
    assert sum(read(prompts, chunk=32, budget=512).values()) == 512


def test_the_oldest_and_then_the_shortest_go_first() -> None:
    prompts = unread(4000, 1000, 5, 300, 9)
    assert read(prompts, chunk=8, budget=24) == {0: 8, 2: 5, 4: 8, 3: 3}


def test_a_short_prompt_is_read_at_once_whatever_long_ones_there_are() -> None:
    prompts = unread(*[4000] * 63, 20)
    assert read(prompts, chunk=32, budget=64)[63] == 20


def test_the_oldest_leaves_something_even_of_a_tiny_budget() -> None:
    assert read(unread(4000, 20), chunk=32, budget=8) == {0: 4, 1: 4}


def test_a_long_prompt_is_read_however_many_short_ones_come() -> None:
    (long,) = unread(320)
    for step in range(20):
        assert long.num_prefilled == step * 16
        read([long, *unread(*[30] * 50)], chunk=32, budget=32)
    assert not long.num_to_prefill


def test_a_piece_ends_where_a_state_is_wanted_and_other_prompts_keep_theirs() -> None:
    prompts = [make_sequence(1, prompt=21, wanted=(3, 5, 20)), *unread(20)]
    chunks = [read(prompts, chunk=8, budget=100) for _ in range(4)]
    assert [chunk[1] for chunk in chunks] == [3, 2, 8, 7]
    assert [chunk.get(0, 0) for chunk in chunks] == [8, 8, 4, 0]


def test_what_is_known_is_not_read() -> None:
    (sequence,) = prompts = [make_sequence(0, prompt=10, num_known=6, wanted=(2, 6, 8))]
    assert [one.token_ids for one in cut_chunks(prompts, 4, 100)] == [(6, 7)]
    assert (sequence.num_to_prefill, sequence.num_worked, sequence.cost) == (3, 0, 104)
    for _ in range(2):
        read(prompts, chunk=4, budget=100)
    assert (sequence.num_to_prefill, sequence.num_worked, sequence.cost) == (0, 3, 104)
    assert sequence.next_input == 9


@given(
    prompt=st.integers(1, 100),
    wanted=st.sets(st.integers(1, 99)),
    num_known=st.integers(0, 99),
    chunk=st.integers(1, 40),
)
def test_every_wanted_state_is_met_once(
    prompt: int, wanted: set[int], num_known: int, chunk: int
) -> None:
    num_known %= prompt
    asked = tuple(sorted(n for n in wanted if n < prompt))
    sequence = make_sequence(0, prompt=prompt, num_known=num_known, wanted=asked)
    met = []
    while read([sequence], chunk, budget=100):
        met += [sequence.num_prefilled] * sequence.is_state_wanted
    assert met == [n for n in asked if n > num_known]
    assert not sequence.num_to_prefill


@given(st.lists(st.integers(0, 300), max_size=30), st.integers(1, 64), st.integers(2, 600))
def test_every_prompt_is_read_once_and_in_order(
    lengths: list[int], chunk: int, budget: int
) -> None:
    prompts = unread(*lengths)
    seen: dict[int, list[int]] = {sequence.id: [] for sequence in prompts}
    while cut := cut_chunks(prompts, chunk, budget):
        assert sum(len(one.token_ids) for one in cut) <= budget
        assert len({one.sequence for one in cut}) == len(cut)
        for one in cut:
            assert 0 < len(one.token_ids) <= chunk
            seen[one.sequence.id] += one.token_ids
            one.sequence.num_prefilled += len(one.token_ids)
    assert seen == {number: list(range(length)) for number, length in enumerate(lengths)}
