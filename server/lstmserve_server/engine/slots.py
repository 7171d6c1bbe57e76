"""Which sequence sits in which row of the running batch.

Rows are dense: with n sequences they are rows 0 to n - 1, so the batch is a plain slice
of the state. A sequence that leaves is replaced by the one in the last row.
"""

from __future__ import annotations

from collections.abc import Iterator

from lstmserve_server.engine.sequence import Sequence


class Slots:
    """The running sequences by row; joining and leaving are O(1)."""

    def __init__(self) -> None:
        self._sequences: list[Sequence] = []
        self._rows: dict[Sequence, int] = {}

    def __len__(self) -> int:
        return len(self._sequences)

    def __iter__(self) -> Iterator[Sequence]:
        """The running sequences in row order."""
        return iter(self._sequences)

    def __contains__(self, sequence: Sequence) -> bool:
        return sequence in self._rows

    def row_of(self, sequence: Sequence) -> int:
        return self._rows[sequence]

    def join(self, sequence: Sequence) -> int:
        """Give a sequence the next row."""
        row = self._rows[sequence] = len(self._sequences)
        self._sequences.append(sequence)
        return row

    def leave(self, sequence: Sequence) -> tuple[int, int]:
        """Free a sequence's row: (the row, the last row, whose sequence now sits there)."""
        row, moved = self._rows.pop(sequence), self._sequences.pop()
        last = len(self._sequences)
        if moved is not sequence:
            self._sequences[row] = moved
            self._rows[moved] = row
        return row, last
