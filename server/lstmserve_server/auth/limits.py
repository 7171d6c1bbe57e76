"""Holds principals to what they may ask. Plain Python, the clock passed in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lstmserve_server.auth.principal import Principal
from lstmserve_server.errors import ConcurrencyLimitError, RateLimitError

UNKNOWN_SECONDS = 1.0  # before anything was measured
LEAST_SECONDS, MOST_SECONDS = 0.1, 60.0
ROUNDING = 1e-9  # of a request: who waits exactly as long as told is not told to wait again
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


class Bucket:
    """A token bucket, full at first. ``now`` is in seconds on any clock that does not go back."""

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


class Limits:
    """Remembers by name what principals have used, also across changes of the file."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._buckets: dict[str, Bucket] = {}
        self._places: dict[str, Places] = defaultdict(Places)

    @contextmanager
    def use(self, principal: Principal) -> Iterator[None]:
        """Run a call within the block; raises one of the two limits' errors at once."""
        started_at = self._clock()
        places = self._places[principal.name]
        _check_concurrency(principal, places)  # first: who is refused uses up nothing
        self._check_rate(principal, started_at)
        places.enter()
        try:
            yield
        finally:
            places.leave(self._clock() - started_at)

    def _check_rate(self, principal: Principal, now: float) -> None:
        if principal.requests_per_second is None:
            return
        wait = self._bucket(principal, principal.requests_per_second, now).take(now)
        if wait:
            raise RateLimitError(
                f"{principal.name!r} may make {principal.requests_per_second:g} requests a second, "
                f"and {principal.burst:g} at once; try again after the retry delay",
                wait,
            )

    def _bucket(self, principal: Principal, per_second: float, now: float) -> Bucket:
        bucket = self._buckets.get(principal.name)
        if bucket is None:
            bucket = self._buckets[principal.name] = Bucket(per_second, principal.burst, now)
        bucket.per_second, bucket.size = per_second, principal.burst  # the file may have changed
        return bucket


def _check_concurrency(principal: Principal, places: Places) -> None:
    if principal.max_concurrent is None:
        return
    wait = places.wait_seconds(principal.max_concurrent)
    if wait:
        raise ConcurrencyLimitError(
            f"{principal.name!r} has {places.num_taken} calls running and may have "
            f"{principal.max_concurrent}; try again when one has ended",
            wait,
        )
