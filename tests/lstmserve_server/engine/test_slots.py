"""Rows are dense whoever comes and goes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lstmserve_server.engine.sequence import Sequence
from lstmserve_server.engine.slots import Slots
from support.paper import make_sequence


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 20)), max_size=60))
def test_rows_stay_dense_whoever_comes_and_goes(moves: list[tuple[bool, int]]) -> None:
    slots = Slots()
    rows: list[Sequence] = []
    for number, (joins, place) in enumerate(moves):
        if joins:
            sequence = make_sequence(number)
            assert slots.join(sequence) == len(rows)
            rows.append(sequence)
        elif rows:
            target, source = slots.leave(rows[place % len(rows)])
            assert source == len(rows) - 1
            rows[target] = rows[source]  # what the runner does with the states
            rows.pop()
        assert list(slots) == rows
        assert [slots.row_of(sequence) for sequence in rows] == list(range(len(rows)))
