"""What customers have typed about themselves: their order's number, their e-mail address.

The latest one counts. Takes time that grows with the text alone. Nothing here is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import SequenceMatcher

from lstmserve_bundle import Turn
from lstmserve_server.replies.order_numbers import (
    ASKS_ORDER,
    ASKS_OTHER,
    EMAIL,
    Asked,
    Number,
    Rank,
    numbers_in,
)

USER = "user"
MAX_TURNS = 16  # the last ones, the agent's among them
ALIKE = 0.8  # of two numbers
ASKED_LOOK_BACK = 300  # last characters of what the agent said, where its question is


def find_email(turns: Sequence[Turn]) -> str | None:
    """Return the last e-mail address that the user typed; turns are oldest first."""
    texts = (turn.text for turn in reversed(turns) if turn.role == USER)
    found = (addresses[-1] for text in texts if (addresses := EMAIL.findall(text)))
    return next(found, None)


def find_order_number(turns: Sequence[Turn]) -> str | None:
    """Return the last number that is said to be the order's, or else the last that may be one.

    The agent's turns tell what a bare number answers. Within one turn a number that is called the
    order's goes before one that is only called a number.
    """
    named, plain, asked = None, None, Asked.NOTHING
    for turn in turns[-MAX_TURNS:]:
        if turn.role != USER:
            asked = _what_is_asked(turn.text)
            continue
        best = _best(numbers_in(turn.text, asked, is_known=named is not None))
        if best is not None and (best.rank > Rank.PLAIN or _is_corrected(named, best)):
            named = best
        else:
            plain = best or plain
    found = named or plain
    return None if found is None else found.text


def _what_is_asked(text: str) -> Asked:
    end = text[-ASKED_LOOK_BACK:]
    if ASKS_ORDER.search(end):
        return Asked.ORDER
    return Asked.OTHER if ASKS_OTHER.search(end) else Asked.NOTHING


def _best(numbers: Sequence[Number]) -> Number | None:
    """Return the last of those that are the most surely the order's."""
    return max(reversed(numbers), key=lambda number: number.rank, default=None)


def _is_corrected(known: Number | None, later: Number) -> bool:
    """Return whether a number is nearly the known one: digits are more, or fewer.

    One with as many digits may be the next order's.
    """
    if known is None or len(known.text) == len(later.text):
        return False
    return SequenceMatcher(None, known.text, later.text, autojunk=False).ratio() >= ALIKE


FINDERS: Mapping[str, Callable[[Sequence[Turn]], str | None]] = {
    "email": find_email,
    "order_number": find_order_number,
}


def find_fact(kind: str, turns: Sequence[Turn]) -> str | None:
    """Return what the user last typed of a kind; turns are oldest first."""
    find = FINDERS.get(kind)
    return None if find is None else find(turns)
