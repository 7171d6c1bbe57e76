"""Where each sequence's state is: in a slot of the runner, or set aside."""

from __future__ import annotations

from collections.abc import Sequence as List

from lstmserve_server.engine.decode_row import DecodeRow
from lstmserve_server.engine.prefix import KnownState
from lstmserve_server.engine.reading import Piece
from lstmserve_server.engine.runner import Decoded, Runner, State
from lstmserve_server.engine.sequence import Sequence
from lstmserve_server.engine.slots import Slots


class Batch:
    """Keeps the runner's slots and the scheduler's sequences together.

    Those that read or decode have a slot each.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._slots = Slots()
        self._aside: dict[Sequence, State] = {}  # of those that have begun and hold no slot
        self._last_rows: List[Sequence] = ()

    def begin(self, sequence: Sequence, known: KnownState) -> None:
        """Let a sequence have a state before it has read anything."""
        self._aside[sequence] = self._runner.to_state(known.data)

    def read(self, pieces: List[Piece]) -> list[tuple[int, KnownState]]:
        """Read a piece into the state of each sequence; returns the wanted states, by its id."""
        self.place([piece.sequence for piece in pieces])
        slots = [self._slots[piece.sequence] for piece in pieces]
        self._runner.read(slots, [piece.token_ids for piece in pieces])
        for piece in pieces:
            piece.sequence.num_read += len(piece.token_ids)
        wanted = [piece.sequence for piece in pieces if piece.sequence.is_state_wanted]
        return [(sequence.id, self._give_out(sequence)) for sequence in wanted]

    def set_aside(self, sequence: Sequence) -> None:
        """Free the slot of a sequence, if it has one, and keep its state."""
        if sequence in self._slots:
            self._aside[sequence] = self._runner.take(self._slots[sequence])
            self._slots.free(sequence)

    def discard(self, sequence: Sequence) -> None:
        """Forget a sequence; one that has not begun is no error."""
        if sequence in self._slots:
            self._slots.free(sequence)
        self._aside.pop(sequence, None)

    def decode(self, rows: List[Sequence], steps: int) -> list[Decoded]:
        """Decode up to so many tokens for each of them, who have read their prompts."""
        same_rows, self._last_rows = rows == self._last_rows, rows
        return self._runner.decode(
            [self._to_row(sequence) for sequence in rows], steps, same_rows=same_rows
        )

    def place(self, sequences: List[Sequence]) -> None:
        """Let each of them have a slot that holds its state."""
        new = [sequence for sequence in sequences if sequence not in self._slots]
        slots = {sequence: self._slots.take(sequence) for sequence in new}
        unread = [slot for sequence, slot in slots.items() if sequence not in self._aside]
        if unread:
            self._runner.clear(unread)
        for sequence, slot in slots.items():
            if sequence in self._aside:
                self._runner.put(slot, self._aside.pop(sequence))

    def _give_out(self, sequence: Sequence) -> KnownState:
        state = self._runner.take(self._slots[sequence])
        return KnownState(sequence.num_read, self._runner.to_bytes(state))

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
            sequence.is_measured,
        )
