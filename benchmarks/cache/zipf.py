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


def ideal_hit_ratio(asked: Sequence[int], entries: int | None, threshold: int = 1) -> float:
    """Of a cache that holds the most often asked as soon as they have been asked so often.

    ``entries``: how many it holds; None: all. Of everything, and with a threshold of 1, this is
    the share of repeats: no cache answers more.
    """
    counts = Counter(asked).most_common(entries)
    return sum(max(0, count - threshold) for _, count in counts) / len(asked)
