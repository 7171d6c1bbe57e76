"""Guesses the next tokens of a reply from replies that were made before.

Replies of a model repeat each other. A guess is read ahead together with the token before it, and
kept when the very same token is chosen there: every choice is a function of stream and position, so
guesses change how fast a reply is made and never what it says (docs/adr/0012-drafts.md).
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import torch
from torch import Tensor

CONTEXT = 4  # tokens that a guess follows from
MAX_COUNT = 7


def table_size() -> int:
    """Return how many contexts are kept, a prime number; TorchScript knows no constants."""
    return 65521


def least_count() -> int:
    """Return how often something must have followed to be guessed: once is no evidence."""
    return 2


def place_of(a: int, b: int, c: int, d: int) -> int:
    """Return where the table has what follows these tokens, the last one last; TorchScript."""
    return (((a * 7919 + b) * 7919 + c) * 7919 + d) % table_size()


def guess(table: Tensor, recent: list[int], most: int, end_id: int) -> list[int]:
    """Return up to so many tokens that may follow the last four; TorchScript.

    The end is not guessed: nothing is read after it.
    """
    a, b, c, d = recent[-4], recent[-3], recent[-2], recent[-1]
    found: list[int] = []
    while len(found) < most:
        entry = int(table[place_of(a, b, c, d)])
        token = entry >> 3
        if (entry & 7) < least_count() or token == end_id:
            break
        found.append(token)
        a, b, c, d = b, c, d, token
    return found


class Drafts:
    """What followed four tokens lately, and how often of late: 8 * token + count, 0 for nothing."""

    def __init__(self) -> None:
        self._entries = array("q", bytes(8 * table_size()))
        self.table: Tensor = torch.frombuffer(self._entries, dtype=torch.int64)

    def learn(self, token_ids: Sequence[int]) -> None:
        """Remember what followed what; the first four tokens are context alone."""
        entries = self._entries
        for number in range(CONTEXT, len(token_ids)):
            a, b, c, d, token = token_ids[number - CONTEXT : number + 1]
            place = place_of(a, b, c, d)
            known, count = divmod(entries[place], MAX_COUNT + 1)
            if known == token:
                count = min(count + 1, MAX_COUNT)
            elif count > 1:
                token, count = known, count - 1
            else:
                count = 1
            entries[place] = token * (MAX_COUNT + 1) + count
