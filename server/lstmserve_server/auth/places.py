"""How many calls may run at once, and how soon one of them may be over. Pure."""

from __future__ import annotations

UNKNOWN_SECONDS = 1.0  # before anything was measured
LEAST_SECONDS, MOST_SECONDS = 0.1, 60.0
NEWEST_WEIGHT = 0.1  # of the latest call in the mean of their lengths


class Places:
    """Counts the calls of one principal that run."""

    def __init__(self) -> None:
        self.num_taken = 0
        self._mean_seconds: float | None = None

    def wait_seconds(self, most: int) -> float:
        """0 while there is room for one more, else about how long until one of so many ends."""
        if self.num_taken < most:
            return 0.0
        if self._mean_seconds is None:
            return UNKNOWN_SECONDS
        return min(max(self._mean_seconds / most, LEAST_SECONDS), MOST_SECONDS)

    def enter(self) -> None:
        self.num_taken += 1

    def leave(self, seconds: float) -> None:
        """A call that took so long has ended, however."""
        self.num_taken -= 1
        mean = seconds if self._mean_seconds is None else self._mean_seconds
        self._mean_seconds = mean + NEWEST_WEIGHT * (seconds - mean)
