"""Which cores belong to which worker."""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise


def share_cores(cores: Collection[int], workers: int) -> list[tuple[int, ...]]:
    """Disjoint shares of neighboring cores, as equal as can be; all empty where there are too few.

    An empty share means: run wherever the system likes.
    """
    if workers > len(cores):
        return [()] * workers
    ordered = sorted(cores)
    bounds = [len(ordered) * number // workers for number in range(workers + 1)]
    return [tuple(ordered[begin:end]) for begin, end in pairwise(bounds)]
