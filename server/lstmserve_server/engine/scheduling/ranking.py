"""A heap from which any key may be taken out."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from itertools import count
from typing import Generic, TypeAlias, TypeVar

Key = TypeVar("Key")
Rank: TypeAlias = tuple[float, ...]

# stale entries that are not worth a rebuild
SLACK = 32


class Ranking(Generic[Key]):
    """Keys by rank, lowest first; of equal ranks, the key that was added first.

    Every operation is O(log n), amortized: a key that is taken out leaves a stale entry in
    the heap, which is rebuilt once it holds more of those than of others.
    """

    def __init__(self) -> None:
        self._entries: dict[Key, tuple[Rank, int, Key]] = {}
        self._heap: list[tuple[Rank, int, Key]] = []
        self._count = count()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: Key) -> bool:
        return key in self._entries

    def add(self, key: Key, *rank: float) -> None:
        """Add a key that is not there; a rank may have several parts."""
        entry = self._entries[key] = (rank, next(self._count), key)
        heappush(self._heap, entry)

    def discard(self, key: Key) -> None:
        """Take a key out; do nothing if it is not there."""
        self._entries.pop(key, None)
        if len(self._heap) > 2 * len(self._entries) + SLACK:
            self._heap = list(self._entries.values())
            heapify(self._heap)

    def first(self) -> Key | None:
        """Return the key of the lowest rank, and leave it there; None when there is no key."""
        while self._heap and self._entries.get(self._heap[0][2]) is not self._heap[0]:
            heappop(self._heap)
        return self._heap[0][2] if self._heap else None
