"""How often a thing was asked for lately, in fixed memory, however many things are asked for.

A count-min sketch (G. Cormode, S. Muthukrishnan, 2005) with conservative update (C. Estan,
G. Varghese, 2002) has room for a number of different things. So there are two: one that counts,
and the one before it, which is looked at as well. They turn when the first has counted for the
length of a window or, as in TinyLFU (G. Einziger, R. Friedman, B. Manes, 2017), when it is full.
Whatever was asked for within one window's time, and among the latest different things that one
has room for, is never counted too low; what is older than two windows is forgotten. Too high a
count costs an entry that nobody needed.

Redis counts by the same rules, for all processes: see ``redis/scripts``.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

ROWS = 4
COLUMNS = 1 << 19  # of each row; a power of two
MOST = 255  # a counter is one byte
# of the columns: the different things that a sketch counts. Then 1 - exp(-0.3) = 26 % of each row
# are taken, and a new thing finds all four of its counters taken in 0.5 % of cases; in 0.9 %
# with the sketch before it
FULL_SHARE = 0.3

_HASHES = struct.Struct(f"<{ROWS}I")
# the beginning of a digest may decide which of several sketches counts it
_HASHES_START = 16


class Sketch:
    """Counts digests of 32 bytes, which must be uniform."""

    def __init__(
        self, window_seconds: float, clock: Callable[[], float], columns: int = COLUMNS
    ) -> None:
        self._window_seconds = window_seconds
        self._clock = clock
        self._columns = columns
        self._capacity = find_capacity(columns)
        self._now = bytearray(ROWS * columns)
        self._before = bytearray(ROWS * columns)
        self._began_at = clock()
        self._num_different = 0

    def add(self, digest: bytes) -> None:
        """Count one more."""
        self._turn_if_old()
        if self._num_different >= self._capacity:
            self._turn(self._clock())
        places = find_places(digest, self._columns)
        counts = self._now
        least = _least(counts, places)
        if least == 0:
            self._num_different += 1
        if least < MOST:
            for place in places:
                if counts[place] == least:
                    counts[place] = least + 1

    def count(self, digest: bytes) -> int:
        """Return how often it was counted lately, or somewhat more."""
        self._turn_if_old()
        places = find_places(digest, self._columns)
        return _least(self._now, places) + _least(self._before, places)

    def _turn_if_old(self) -> None:
        now = self._clock()
        age = now - self._began_at
        if age >= 2 * self._window_seconds:  # all that was counted is older than a window
            self._turn(now)
            self._turn(now)
        elif age >= self._window_seconds:
            self._turn(self._began_at + self._window_seconds)

    def _turn(self, began_at: float) -> None:
        self._before, self._now = self._now, bytearray(ROWS * self._columns)
        self._began_at, self._num_different = began_at, 0


def find_capacity(columns: int) -> int:
    """Return how many different things a sketch counts until it is full."""
    return round(FULL_SHARE * columns)


def find_places(digest: bytes, columns: int) -> tuple[int, int, int, int]:
    """Return where a digest is counted: the number of one counter in each row."""
    first, second, third, fourth = _HASHES.unpack_from(digest, _HASHES_START)
    last = columns - 1
    return (
        first & last,
        columns + (second & last),
        2 * columns + (third & last),
        3 * columns + (fourth & last),
    )


def _least(counts: bytearray, places: tuple[int, int, int, int]) -> int:
    first, second, third, fourth = places  # faster than a loop, and done for every request
    return min(counts[first], counts[second], counts[third], counts[fourth])
