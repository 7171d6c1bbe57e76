"""How long calls take, of late."""

import threading
from collections import deque
from math import ceil

from lstmserve_client.keywords import (
    GenerateOptions,
)
from lstmserve_client.policies import HedgePolicy
from lstmserve_client.types import (
    Reply,
)


class Latencies:
    """The latest calls of one client. Safe to share between threads."""

    def __init__(self, policy: HedgePolicy) -> None:
        self._policy = policy
        self._seconds: deque[float] = deque(maxlen=policy.window)
        self._lock = threading.Lock()

    def add(self, seconds: float) -> None:
        """A call has had its answer after so long."""
        with self._lock:
            self._seconds.append(seconds)

    @property
    def hedge_seconds(self) -> float | None:
        """After how long a second server is asked; ``None`` while too little is known.

        The quantile is the nearest rank of the sorted calls.
        """
        with self._lock:
            ordered = sorted(self._seconds)
        if len(ordered) < self._policy.min_calls:
            return None
        rank = ceil(self._policy.quantile * len(ordered))
        return max(ordered[rank - 1], self._policy.min_seconds)


class Exactness:
    """Of which models two servers may give different replies. Safe to share between threads."""

    def __init__(self) -> None:
        self._inexact: set[str] = set()  # as they were asked for: each is one operation

    def allow(self, latencies: Latencies | None, options: GenerateOptions) -> Latencies | None:
        """Return what a second copy is sent by; ``None`` where the latest reply was not exact."""
        return None if (options.get("model") or "") in self._inexact else latencies

    def note(self, reply: Reply, options: GenerateOptions) -> None:
        """Remember what the reply says of its model."""
        model = options.get("model") or ""
        if reply.started.is_inexact:
            self._inexact.add(model)
        else:
            self._inexact.discard(model)
