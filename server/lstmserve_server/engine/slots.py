"""Which sequence sits in which row of the running batch.

Rows are dense: with n sequences they are rows 0 to n - 1, so the batch is a plain slice
of the state. A sequence that leaves is replaced by the one in the last row.
"""

from __future__ import annotations

from lstmserve_server.engine.sequence import Sequence


class Slots:
    """The running sequences by row."""

    def __init__(self) -> None:
        self._rows: list[Sequence] = []

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def sequences(self) -> list[Sequence]:
        """The running sequences in row order."""
        return list(self._rows)

    def join(self, sequence: Sequence) -> int:
        """Give a sequence the next row."""
        self._rows.append(sequence)
        return len(self._rows) - 1

    def leave(self, sequence: Sequence) -> tuple[int, int]:
        """Free a sequence's row: (the row, the last row, whose sequence now sits there)."""
        row = self._rows.index(sequence)
        last = len(self._rows) - 1
        self._rows[row] = self._rows[last]
        self._rows.pop()
        return row, last
