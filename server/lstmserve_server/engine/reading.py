"""Which prompts are read next, and how much of each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lstmserve_server.engine.sequence import Sequence


@dataclass(frozen=True, slots=True)
class Piece:
    """A bounded part of a prompt to read next."""

    sequence: Sequence
    token_ids: tuple[int, ...]


def cut_pieces(reading: Iterable[Sequence], piece: int, budget: int) -> list[Piece]:
    """At most ``piece`` tokens of each prompt and ``budget`` of all, given the oldest first.

    The oldest prompt always gets its piece, so that it ends; then those with the least
    left to read, so that a short prompt never waits for a long one.
    """
    piece = min(piece, max(1, budget // 2))  # the oldest leaves something to others
    unread = [sequence for sequence in reading if sequence.num_unread]
    pieces = []
    for sequence in (*unread[:1], *sorted(unread[1:], key=lambda other: other.num_unread)):
        token_ids = sequence.next_unread(min(piece, budget))
        if token_ids:
            pieces.append(Piece(sequence, token_ids))
        budget -= len(token_ids)
    return pieces
