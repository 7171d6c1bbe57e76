"""What is computed from labels, probabilities and replies. Knows no server."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from math import ceil
from statistics import fmean, pstdev

ANSWERED = 0.9  # share of questions in scope that the threshold lets through


def share(hits: Sequence[bool]) -> float:
    """The share that is true; 0 of nothing."""
    return fmean(hits) if hits else 0.0


def let_through(inside: Sequence[float], outside: Sequence[float]) -> int:
    """How many of ``outside`` reach the score that nine in ten of ``inside`` reach."""
    threshold = sorted(inside, reverse=True)[ceil(ANSWERED * len(inside)) - 1]
    return sum(score >= threshold for score in outside)


def find_faults(reply: str, rules: Mapping[str, Sequence[str]]) -> list[str]:
    """What is wrong with a reply, by the names of the rules."""
    return [
        name
        for name, patterns in rules.items()
        if any(re.search(p, reply, re.IGNORECASE) for p in patterns)
    ]


def spread(shares: Sequence[float]) -> float:
    """Standard deviation of shares, one per seed."""
    return pstdev(shares)


CHANGES: Mapping[str, Callable[[str], str]] = {
    "please": lambda text: f"please {text}",
    "thanks": lambda text: f"{text} Thanks",
    "upper case": str.upper,
    "lower case": str.lower,
    "no punctuation": lambda text: re.sub(r"[^\w\s@#'$%/-]", "", text),
}
