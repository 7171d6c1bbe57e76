"""Decides what is held out: by the text itself, so that copies of a text stay together."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from lstmserve_training.data.examples import AGENT, Example, Turn

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def digest(example: Example, by: str = "user") -> bytes:
    """Of what is asked in an example, or of its text, whatever its case and white space.

    Many conversations begin with "hello", so all that the user says counts, unless the recipe
    splits ``by`` the first turn.
    """
    asked = [turn.text for turn in example.turns if turn.role != AGENT]
    if by == "first-turn" or not asked:
        asked = [example.turns[0].text]
    text = " ".join(" ".join(asked).lower().split())
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()


def choose_held_out(examples: Iterable[Example], share: float, by: str = "user") -> set[bytes]:
    """The digests of that share of distinct texts, one at least: the lowest there are."""
    distinct = sorted({digest(example, by) for example in examples})
    return set(distinct[: max(1, round(share * len(distinct)))])


def split_text(example: Example, share: float) -> tuple[Example, Example]:
    """A running text in two, near a line's end: what is trained on, and the last part."""
    turn = example.turns[0]
    at = round(len(turn.text) * (1 - share))
    end_of_line = turn.text.rfind("\n", at // 2, at)
    cut = end_of_line + 1 if end_of_line >= 0 else at
    head, tail = turn.text[:cut], turn.text[cut:]
    return (
        Example((Turn(turn.role, head),), example.place),
        Example((Turn(turn.role, tail),), example.place),
    )


def find_copies(examples: Sequence[Example], others: Iterable[Example]) -> list[Example]:
    """Those of ``others`` that ask what one of ``examples`` does."""
    known = set(map(digest, examples))
    return [example for example in others if digest(example) in known]


def count_duplicates(examples: Iterable[Example]) -> int:
    """How many examples are the same, in all their turns, as one before them."""
    seen: set[int] = set()
    count = 0
    for example in examples:
        mark = hash(example.turns)
        count += mark in seen
        seen.add(mark)
    return count
