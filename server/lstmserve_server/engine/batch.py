"""Where each sequence's state is: in a slot of the runner, or set aside."""

from __future__ import annotations

from collections.abc import Sequence as List

from lstmserve_server.engine.decode_row import DecodeRow
from lstmserve_server.engine.reading import Piece
from lstmserve_server.engine.runner import Decoded, Runner, State
from lstmserve_server.engine.sequence import Sequence
from lstmserve_server.engine.slots import Slots


class Batch:
    """Keeps the runner's slots and the scheduler's sequences together.

    Those that read or decode have a slot each; the running ones are the rows of a decode call.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._slots = Slots()
        self._running: dict[Sequence, None] = {}  # in the order of their rows
        self._aside: dict[Sequence, State] = {}  # of those that have begun and hold no slot
        self._same_rows = False

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self._running)

    def read(self, pieces: List[Piece]) -> None:
        """Read a piece into the state of each sequence."""
        self._place([piece.sequence for piece in pieces])
        slots = [self._slots[piece.sequence] for piece in pieces]
        self._runner.read(slots, [piece.token_ids for piece in pieces])
        for piece in pieces:
            piece.sequence.num_read += len(piece.token_ids)

    def join(self, sequences: List[Sequence]) -> None:
        """Give each sequence a row."""
        self._place(sequences)
        self._running.update(dict.fromkeys(sequences))
        self._same_rows &= not sequences

    def set_aside(self, sequence: Sequence) -> None:
        """Free the slot of a sequence, if it has one, and keep its state."""
        if sequence in self._slots:
            self._aside[sequence] = self._runner.take(self._slots[sequence])
            self._free(sequence)

    def discard(self, sequence: Sequence) -> None:
        """Forget a sequence; one that has not begun is no error."""
        if sequence in self._slots:
            self._free(sequence)
        self._aside.pop(sequence, None)

    def decode(self, steps: int) -> list[tuple[Sequence, Decoded]]:
        """Decode up to so many tokens in every row; empty when there is none."""
        if not self._running:
            return []
        rows = [self._to_row(sequence) for sequence in self._running]
        decoded = self._runner.decode(rows, steps, same_rows=self._same_rows)
        self._same_rows = True
        return list(zip(self._running, decoded, strict=True))

    def _place(self, sequences: List[Sequence]) -> None:
        """Let each of them have a slot that holds its state."""
        new = [sequence for sequence in sequences if sequence not in self._slots]
        slots = {sequence: self._slots.take(sequence) for sequence in new}
        unread = [slot for sequence, slot in slots.items() if sequence not in self._aside]
        if unread:
            self._runner.clear(unread)
        for sequence, slot in slots.items():
            if sequence in self._aside:
                self._runner.put(slot, self._aside.pop(sequence))

    def _free(self, sequence: Sequence) -> None:
        self._slots.free(sequence)
        if sequence in self._running:
            del self._running[sequence]
            self._same_rows = False

    def _to_row(self, sequence: Sequence) -> DecodeRow:
        request = sequence.request
        return DecodeRow(
            self._slots[sequence],
            sequence.next_input,
            sequence.position,
            request.sampling,
            request.min_tokens,
            request.prompt_ids,
            sequence.token_ids,
        )
