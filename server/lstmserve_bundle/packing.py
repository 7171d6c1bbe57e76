"""Vectors of whole numbers as one big number each, whose digits (lanes) are their elements.

Adding two of them, or multiplying one by a number, is one call of CPython for the whole vector. It
is exact as long as every element of the result fits into its lane.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_CODES = {32: "I", 64: "Q"}


def pack(values: Sequence[int], lane_bits: int) -> int:
    """The number whose digits these are, also negative ones."""
    lift = 1 << (lane_bits - 1)
    lifted = struct.pack(f"<{len(values)}{_CODES[lane_bits]}", *[v + lift for v in values])
    return int.from_bytes(lifted, "little") - repeat(lift, len(values), lane_bits)


class Unpacker:
    """Takes numbers of so many lanes apart."""

    def __init__(self, num_lanes: int, lane_bits: int) -> None:
        self._lift = 1 << (lane_bits - 1)
        self._all_lifts = repeat(self._lift, num_lanes, lane_bits)
        self._all_bits = (1 << (num_lanes * lane_bits)) - 1
        self._digits = struct.Struct(f"<{num_lanes}{_CODES[lane_bits]}")

    def unpack(self, number: int) -> list[int]:
        """The digits, which may be negative."""
        lift, size = self._lift, self._digits.size
        lifted = ((number + self._all_lifts) & self._all_bits).to_bytes(size, "little")
        return [value - lift for value in self._digits.unpack(lifted)]


def repeat(value: int, num_lanes: int, lane_bits: int) -> int:
    """The number all of whose digits are this one."""
    return value * (((1 << (num_lanes * lane_bits)) - 1) // ((1 << lane_bits) - 1))
