"""Where each sequence's state is: in a row of the running batch, or set aside."""

from __future__ import annotations

from collections.abc import Sequence as List

from lstmserve_server.engine.reading import Piece
from lstmserve_server.engine.row_params import DecodeRow
from lstmserve_server.engine.runner import Decoded, Runner, State
from lstmserve_server.engine.sequence import Sequence
from lstmserve_server.engine.slots import Slots


class Batch:
    """Keeps the runner's rows and the scheduler's sequences together."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._slots = Slots()
        self._aside: dict[Sequence, State] = {}  # of those that have begun and hold no row

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self._slots)

    def read(self, pieces: List[Piece]) -> None:
        """Read a piece into the state of each sequence, none of which holds a row."""
        before = [self._take(piece.sequence) for piece in pieces]
        after = self._runner.prefill(before, [piece.token_ids for piece in pieces])
        for piece, state in zip(pieces, after, strict=True):
            piece.sequence.num_read += len(piece.token_ids)
            self._aside[piece.sequence] = state

    def join(self, sequence: Sequence) -> None:
        """Give a sequence a row."""
        self._runner.join(self._slots.join(sequence), self._take(sequence))

    def set_aside(self, sequence: Sequence) -> None:
        """Free the row of a sequence, if it has one, and keep its state."""
        if sequence in self._slots:
            self._aside[sequence] = self._runner.take(self._slots.row_of(sequence))
            self._leave(sequence)

    def discard(self, sequence: Sequence) -> None:
        """Forget a sequence; one that has not begun is no error."""
        if sequence in self._slots:
            self._leave(sequence)
        self._aside.pop(sequence, None)

    def decode(self, steps: int) -> list[tuple[Sequence, Decoded]]:
        """Decode up to so many tokens in every row; empty when there is none."""
        running = list(self._slots)
        if not running:
            return []
        rows = [_to_row(sequence) for sequence in running]
        return list(zip(running, self._runner.decode(rows, steps), strict=True))

    def _take(self, sequence: Sequence) -> State:
        state = self._aside.pop(sequence, None)
        return self._runner.initial_state() if state is None else state

    def _leave(self, sequence: Sequence) -> None:
        self._runner.move(*self._slots.leave(sequence))


def _to_row(sequence: Sequence) -> DecodeRow:
    request = sequence.request
    return DecodeRow(
        sequence.next_input,
        sequence.position,
        request.sampling,
        request.min_tokens,
        request.prompt_ids,
        sequence.token_ids,
    )
