"""No slot is given twice, and none above the most that were ever taken at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lstmserve_server.engine.process.batch import Slots
from lstmserve_server.engine.scheduling.sequence import Sequence
from support.paper import make_sequence


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 20)), max_size=60))
def test_slots_are_few_and_nobody_shares_one(moves: list[tuple[bool, int]]) -> None:
    slots = Slots()
    holders: dict[Sequence, int] = {}
    most = 0
    for number, (takes, place) in enumerate(moves):
        if takes:
            sequence = make_sequence(number)
            holders[sequence] = slots.take(sequence)
        elif holders:
            sequence = list(holders)[place % len(holders)]
            slots.free(sequence)
            del holders[sequence]
            assert sequence not in slots
        most = max(most, len(holders))
        assert len(slots) == len(holders) == len(set(holders.values()))
        assert all(slots[sequence] == slot < most for sequence, slot in holders.items())
