"""How often each question is asked: Zipf's law over a finite number of questions."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
BLOCK = 10_000  # draws at a time


@cache
def zipf_shares(questions: int, exponent: float) -> Floats:
    """Return the share of each question, the most popular first."""
    weights = np.arange(1, questions + 1, dtype=np.float64) ** -exponent
    shares: Floats = weights / weights.sum()
    return shares


def draw_questions(shares: Floats, source: np.random.Generator) -> Iterator[int]:
    """Yield questions by their shares, without end."""
    bounds = np.cumsum(shares)
    while True:
        found = np.searchsorted(bounds, source.random(BLOCK) * bounds[-1], side="right")
        yield from np.minimum(found, len(shares) - 1).tolist()
