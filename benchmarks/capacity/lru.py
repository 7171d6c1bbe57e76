"""Kept replies in a process: least recently used within a bound, and who is let in."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Hashable


class Lru:
    """Keys that take some bytes each; the latest stay."""

    def __init__(self, max_bytes: float) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0.0
        self._kept: OrderedDict[Hashable, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, key: Hashable) -> bool:
        """Return whether a key is kept; that is a use of it."""
        if key not in self._kept:
            return False
        self._kept.move_to_end(key)
        return True

    def put(self, key: Hashable, num_bytes: float) -> None:
        self._bytes += num_bytes - self._kept.pop(key, 0.0)
        self._kept[key] = num_bytes
        while self._bytes > self._max_bytes:
            self._bytes -= self._kept.popitem(last=False)[1]

    def clear(self) -> None:
        self._kept.clear()
        self._bytes = 0.0


class Frequency:
    """Counts questions in a window and the one before it, exactly; the server's are sketches."""

    def __init__(self, window_seconds: float) -> None:
        self._window_seconds = window_seconds
        self._turned_at = 0.0
        self._now: Counter[int] = Counter()
        self._before: Counter[int] = Counter()

    def add(self, question: int, now: float) -> int:
        """Count a question once more; return how often it was asked."""
        passed = now - self._turned_at
        if passed >= self._window_seconds:
            is_recent = passed < 2 * self._window_seconds
            self._before = self._now if is_recent else Counter()
            self._now, self._turned_at = Counter(), now
        self._now[question] += 1
        return self._now[question] + self._before[question]
