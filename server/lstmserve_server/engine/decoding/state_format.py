"""A state outside of the engine: as bytes, little-endian.

It is float32. Where a model says of some columns that they hold small whole numbers, those come
last, as int8: attention remembers nothing else, so its states have little more than a quarter of
the bytes. What bytes are made of is what comes of them, to the last bit, and the proof holds the
model to what it says of its columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

FLOAT, INT8 = np.dtype("<f4"), np.dtype("i1")
NEGATIVE_ZERO = -128  # another float than zero, and no number from -127 to 127
NEGATIVE_ZERO_BITS = -(1 << 31)
# a batch of 64 may give out as many in one turn (docs/adr/0015-attention.md)
MAX_STATE_BYTES = 1 << 19
TOLD = 200  # characters of what a model says wrongly

Columns = Sequence[tuple[int, int]]
Values = NDArray[np.float32]
Numbers = NDArray[np.int8]


class StateFormat:
    """How states of so many values become bytes, and states again."""

    def __init__(self, num_values: int, int8_columns: Columns = ()) -> None:
        """Columns are pairs: the first one, and the one behind the last.

        Raises ValueError for columns that a state has not, or not in this order.
        """
        bounds = [0, *chain.from_iterable(int8_columns), num_values]
        is_ordered = all(begin <= end for begin, end in pairwise(bounds))
        if not is_ordered or any(begin == end for begin, end in int8_columns):
            told = str([*int8_columns])[:TOLD]
            raise ValueError(f"int8_columns {told} of a state of {num_values} values")
        self._num_values = num_values
        self._int8 = [slice(begin, end) for begin, end in int8_columns]
        self._floats = [slice(*rest) for rest in zip(bounds[::2], bounds[1::2], strict=True)]
        self._num_int8 = sum(end - begin for begin, end in int8_columns)

    @property
    def num_bytes(self) -> int:
        """The size of one state."""
        return FLOAT.itemsize * (self._num_values - self._num_int8) + self._num_int8

    def to_bytes(self, state: Tensor) -> bytes:
        """Float32 [1, S] -> bytes, which ``to_state`` takes."""
        values = state.numpy()[0]
        floats = [values[part].astype(FLOAT, copy=False).tobytes() for part in self._floats]
        return b"".join([*floats, *(_to_int8(values[part]).tobytes() for part in self._int8)])

    def to_state(self, data: bytes) -> Tensor:
        """Return the state [1, S] that these bytes were made of, of which there are enough."""
        floats = np.frombuffer(data, FLOAT, self._num_values - self._num_int8)
        numbers = np.frombuffer(data, INT8, offset=floats.nbytes)
        values = np.empty(self._num_values, np.float32)
        _spread(floats, values, self._floats)
        _spread(_to_floats(numbers), values, self._int8)
        return torch.from_numpy(values).unsqueeze(0)


def format_of(model: torch.jit.ScriptModule, num_values: int) -> StateFormat:
    """Return the format of a model's states; raises ValueError for columns that are none."""
    return StateFormat(num_values, int8_columns_of(model))


def int8_columns_of(model: torch.jit.ScriptModule) -> Columns:
    """Return what a model says of its states, if anything; raises ValueError."""
    columns = getattr(model, "int8_columns", [])
    if not isinstance(columns, list) or not all(map(_is_pair, columns)):
        raise ValueError("int8_columns is no list of pairs of whole numbers")
    return columns


def _is_pair(value: object) -> bool:
    return isinstance(value, tuple) and [type(each) for each in value] == [int, int]


def _spread(given: Values, values: Values, parts: Sequence[slice]) -> None:
    begin = 0
    for part in parts:
        end = begin + part.stop - part.start
        values[part] = given[begin:end]
        begin = end


def _to_int8(values: Values) -> Numbers:
    with np.errstate(invalid="ignore"):  # of numbers that are none, which a proof would find
        numbers = values.astype(INT8)
    numbers[values.view(np.int32) == NEGATIVE_ZERO_BITS] = NEGATIVE_ZERO
    return numbers


def _to_floats(numbers: Numbers) -> Values:
    values = numbers.astype(np.float32)
    values[numbers == NEGATIVE_ZERO] = -0.0
    return values
