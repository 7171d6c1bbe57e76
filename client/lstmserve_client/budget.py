"""How many further attempts a client may make, for all of its calls together."""

import threading

from lstmserve_client.policies import RetryPolicy


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
