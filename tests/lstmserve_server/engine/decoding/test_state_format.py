"""A state that is kept is what it was, to the last bit, and takes no more bytes than it has to."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lstmserve_server.engine.decoding.state_format import StateFormat

floats = st.floats(width=32, allow_nan=False)
numbers = st.one_of(st.integers(-127, 127).map(float), st.just(-0.0))


@st.composite
def states(draw: st.DrawFn) -> tuple[list[float], list[tuple[int, int]]]:
    """Values, and which columns of them are whole numbers."""
    values: list[float] = []
    columns: list[tuple[int, int]] = []
    for _ in range(draw(st.integers(0, 3))):
        values += draw(st.lists(floats, max_size=3))
        whole = draw(st.lists(numbers, min_size=1, max_size=5))
        columns.append((len(values), len(values) + len(whole)))
        values += whole
    return values + draw(st.lists(floats, min_size=1, max_size=3)), columns


@given(states())
def test_a_state_becomes_itself_again(given: tuple[list[float], list[tuple[int, int]]]) -> None:
    values, columns = given
    state = torch.tensor([values], dtype=torch.float32)
    kept = StateFormat(len(values), columns)
    data = kept.to_bytes(state)
    num_int8 = sum(end - begin for begin, end in columns)
    assert len(data) == kept.num_bytes == 4 * len(values) - 3 * num_int8
    assert torch.equal(kept.to_state(data).view(torch.int32), state.view(torch.int32))


def test_without_whole_numbers_bytes_are_those_of_the_floats() -> None:
    state = torch.arange(5.0).unsqueeze(0)
    assert StateFormat(5).to_bytes(state) == np.arange(5, dtype="<f4").tobytes()


@pytest.mark.parametrize(
    "columns", [[(0, 6)], [(-1, 2)], [(2, 2)], [(3, 2)], [(0, 3), (2, 4)], [(3, 5), (0, 2)]]
)
def test_columns_that_a_state_has_not_are_refused(columns: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="of a state of 5 values"):
        StateFormat(5, columns)
