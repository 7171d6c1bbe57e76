"""Whichever rows decode together, each goes on with its own state, and few states move."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lstmserve_server.engine.decoding.decode_loop import DecodeLoop
from lstmserve_server.engine.decoding.decode_row import DecodeRow
from lstmserve_server.engine.decoding.places import Places
from lstmserve_server.engine.decoding.runner import Runner
from lstmserve_server.engine.request import SamplingParams

NUM_SLOTS, NUM_TOKENS, STEPS = 6, 64, 3
GREEDY = SamplingParams(temperature=0.0)
slots = st.lists(st.integers(0, NUM_SLOTS - 1), min_size=1, unique=True)


class Adder(nn.Module):
    """A state is the sum of all tokens read, and that is the next token."""

    def __init__(self, *, overwrites: bool) -> None:
        super().__init__()
        self.overwrites = overwrites

    @torch.jit.export
    def initial_state(self, rows: int) -> Tensor:
        return torch.zeros(rows, 64)

    @torch.jit.export
    def prefill(self, state: Tensor, tokens: Tensor, lengths: Tensor) -> Tensor:
        return torch.remainder(state + tokens.sum(dim=1, keepdim=True), 64)

    @torch.jit.export
    def step(self, state: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        after = torch.remainder(state + tokens.unsqueeze(1) + 1, 64)
        if self.overwrites:
            after = state.copy_(after)
        return torch.nn.functional.one_hot(after[:, 0].long(), 64).float(), after


def make_runner(*, overwrites: bool) -> Runner:
    loop = torch.jit.script(DecodeLoop(torch.jit.script(Adder(overwrites=overwrites)), 0, 64, 1))
    return Runner(loop, NUM_SLOTS, NUM_TOKENS)


RUNNERS = {overwrites: make_runner(overwrites=overwrites) for overwrites in (True, False)}


@pytest.mark.parametrize("overwrites", [True, False])
@given(turns=st.lists(st.tuples(slots, st.booleans()), max_size=12))
@settings(deadline=None)
def test_each_row_goes_on_with_its_own_state(
    turns: list[tuple[list[int], bool]], *, overwrites: bool
) -> None:
    runner = RUNNERS[overwrites]
    runner.clear([*range(NUM_SLOTS)])
    sums = [0] * NUM_SLOTS
    for chosen, is_read in turns:
        if is_read:
            runner.prefill(chosen, [[slot + 1] for slot in chosen])
            for slot in chosen:
                sums[slot] = (sums[slot] + slot + 1) % 64
            continue
        rows = [DecodeRow(slot, slot, 0, GREEDY, 0) for slot in chosen]
        decoded = runner.decode(rows, STEPS, same_rows=False)
        for slot, reply in zip(chosen, decoded, strict=True):
            token = slot
            for found in reply.token_ids:
                token = sums[slot] = (sums[slot] + token + 1) % 64
                assert found == token
    taken = [np.frombuffer(runner.take(slot), np.float32) for slot in range(NUM_SLOTS)]
    assert [int(state[0]) for state in taken] == sums


@given(st.lists(slots, max_size=12))
def test_as_few_states_move_as_have_to(wanted: list[list[int]]) -> None:
    places = Places(NUM_SLOTS)
    lies_at = {slot: slot for slot in range(NUM_SLOTS)}
    for chosen in wanted:
        before = {lies_at[slot] for slot in chosen}
        swaps = places.bring_together(chosen)
        slot_at = {place: slot for slot, place in lies_at.items()}
        for one, other in swaps:
            slot_at[one], slot_at[other] = slot_at[other], slot_at[one]
        lies_at = {slot: place for place, slot in slot_at.items()}
        assert lies_at == {slot: places[slot] for slot in range(NUM_SLOTS)}
        after = {lies_at[slot] for slot in chosen}
        assert max(after) - min(after) == len(chosen) - 1
        assert len(swaps) == len(after - before)


def test_a_row_that_ends_costs_one_move_and_one_that_comes_none() -> None:
    places = Places(NUM_SLOTS)
    assert places.bring_together([0, 1, 2, 3]) == []
    assert places.bring_together([0, 2, 3]) == [(1, 3)]
    assert places.bring_together([0, 2, 3, 1]) == []
    assert places.bring_together([4]) == []
