"""Hit ratios of an LRU cache in closed form, by Che's approximation.

H. Che, Y. Tung, Z. Wang (2002): an entry is found if it was asked for within the characteristic
time of the cache, which is the same for all entries. With admission by the second request: V.
Martina, M. Garetto, E. Leonardi (2014).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.capacity.popularity import Floats

BISECTIONS = 60
LONGEST_SECONDS = 1e9


def hit_probabilities(
    rates: Floats,
    capacity: float,
    *,
    copies: int = 1,
    admission_rates: Floats | None = None,
    window_seconds: float = 0.0,
    ttl_seconds: float = LONGEST_SECONDS,
) -> Floats:
    """Return for each kind of entry how likely a request finds it.

    ``rates``: requests per second for one entry of the kind; there are so many ``copies`` of it,
    asked for equally often. With ``admission_rates``, an entry is only kept when its question
    has been asked for before within the window; these are the questions' rates.
    """

    def find(seconds: float) -> Floats:
        recent = -np.expm1(-rates * seconds)
        if admission_rates is None:
            return recent
        admitted = -np.expm1(-admission_rates * window_seconds)
        found: Floats = recent * admitted / (1 - recent + recent * admitted)
        return found

    return find(min(ttl_seconds, _characteristic_seconds(find, copies, capacity)))


def _characteristic_seconds(find: Callable[[float], Floats], copies: int, capacity: float) -> float:
    """Return the time within which as many entries are asked for as there is room for."""
    low, high = -9.0, np.log10(LONGEST_SECONDS)
    if copies * find(LONGEST_SECONDS).sum() <= capacity:
        return LONGEST_SECONDS
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if copies * find(10**middle).sum() < capacity else (low, middle)
    return float(10**low)
