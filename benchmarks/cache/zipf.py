"""What a popularity allows a cache to achieve."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate


def draw_ranks(ranks: int, exponent: float, requests: int, seed: int) -> list[int]:
    """So many ranks, each in proportion to 1 / (rank + 1)**exponent."""
    bounds = [*accumulate((rank + 1) ** -exponent for rank in range(ranks))]
    return random.Random(seed).choices(range(ranks), cum_weights=bounds, k=requests)


def ideal_hit_ratio(asked: Sequence[int], entries: int | None) -> float:
    """Of a cache that holds the most often asked from their first request on.

    ``entries``: how many it holds; None: all, which makes this the share of repeats.
    """
    counts = Counter(asked).most_common(entries)
    return sum(count - 1 for _, count in counts) / len(asked)
