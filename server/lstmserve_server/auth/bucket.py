"""A token bucket: so many requests a second on average, and so many at once. Pure."""

from __future__ import annotations

ROUNDING = 1e-9  # of a request: who waits exactly as long as told is not told to wait again


class Bucket:
    """Full at first. ``now`` is in seconds on any clock that does not go back."""

    def __init__(self, per_second: float, size: float, now: float) -> None:
        self.per_second = per_second
        self.size = size
        self._level = size
        self._at = now

    def take(self, now: float) -> float:
        """Take one: 0. Or take none: the seconds until there is one."""
        self._level = min(self.size, self._level + (now - self._at) * self.per_second)
        self._at = now
        if self._level >= 1 - ROUNDING:
            self._level -= 1
            return 0.0
        return (1 - self._level) / self.per_second
