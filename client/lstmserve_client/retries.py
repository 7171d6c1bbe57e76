"""When a client may try again: how long it pauses, and how many attempts all its calls have."""

import threading

from lstmserve_client.policies import RetryPolicy


def backoff_seconds(
    failures: int, first_seconds: float, max_seconds: float, multiplier: float = 2.0
) -> float:
    """Return the longest pause after so many failures in a row, of which there was at least one."""
    try:
        return min(max_seconds, first_seconds * multiplier ** (failures - 1))
    except OverflowError:  # far beyond the maximum
        return max_seconds


def jitter(seconds: float, draw: float) -> float:
    """Return a pause of at most so long; ``draw`` is uniform in [0, 1).

    "Equal jitter" (M. Brooker, "Exponential Backoff And Jitter", 2015): half of it is certain, so
    that a server gets its rest, and half is drawn, so that the callers it lost together do not
    come back together.
    """
    return seconds * (1 + draw) / 2


class RetryBudget:
    """A bucket of attempts, after Finagle's RetryBudget. Safe to share between threads.

    Without it, servers that fail under load get several times that load from their callers,
    and stay down.
    """

    def __init__(self, policy: RetryPolicy, now: float) -> None:
        """Full at the start; ``now`` is monotonic, in seconds."""
        self._policy = policy
        self._available = float(policy.budget_retries)
        self._filled_at = now
        self._lock = threading.Lock()

    def earn(self) -> None:
        """A call was made."""
        with self._lock:
            self._add(self._policy.budget_ratio)

    def try_spend(self, now: float) -> bool:
        """Take one attempt; False when there is none."""
        with self._lock:
            self._add(max(0.0, now - self._filled_at) * self._policy.budget_per_second)
            self._filled_at = max(now, self._filled_at)
            is_affordable = self._available >= 1
            self._available -= is_affordable
            return is_affordable

    def _add(self, count: float) -> None:
        self._available = min(self._available + count, self._policy.budget_retries)
