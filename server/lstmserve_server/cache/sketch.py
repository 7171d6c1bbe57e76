"""How often a thing was asked for lately, in fixed memory.

A count-min sketch (G. Cormode, S. Muthukrishnan, 2005) for this window of time and one for the
window before: whatever was asked for within one window's time is never counted too low, what
is older than two is forgotten. Too high a count costs an entry that nobody needed.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

ROWS = 4
COLUMNS = 1 << 16  # a power of two
MOST = 255  # a counter is one byte

_POSITIONS = struct.Struct(f"<{ROWS}I")


class Sketch:
    """Counts digests, which must be uniform: their first 16 bytes are the hashes."""

    def __init__(self, window_seconds: float, clock: Callable[[], float]) -> None:
        self._window_seconds = window_seconds
        self._clock = clock
        self._window = self._current_window()
        self._now = bytearray(ROWS * COLUMNS)
        self._before = bytearray(ROWS * COLUMNS)

    def add(self, digest: bytes) -> None:
        """Count one more."""
        self._turn()
        for place in _places(digest):
            if self._now[place] < MOST:
                self._now[place] += 1

    def count(self, digest: bytes) -> int:
        """How often it was counted within the last window, or somewhat more."""
        self._turn()
        places = [*_places(digest)]
        return min(self._now[p] for p in places) + min(self._before[p] for p in places)

    def _turn(self) -> None:
        """Let a window that has passed be the one before, and forget what is older."""
        window = self._current_window()
        if window == self._window:
            return
        follows = window == self._window + 1
        self._before = self._now if follows else bytearray(ROWS * COLUMNS)
        self._now = bytearray(ROWS * COLUMNS)
        self._window = window

    def _current_window(self) -> int:
        return int(self._clock() / self._window_seconds)


def _places(digest: bytes) -> Iterator[int]:
    for row, value in enumerate(_POSITIONS.unpack_from(digest)):
        yield row * COLUMNS + value % COLUMNS
