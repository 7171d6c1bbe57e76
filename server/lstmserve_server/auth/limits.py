"""Holds principals to what they may ask. Plain Python, the clock passed in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lstmserve_server.auth.bucket import Bucket
from lstmserve_server.auth.places import Places
from lstmserve_server.auth.principal import Principal
from lstmserve_server.errors import ConcurrencyLimitError, RateLimitError


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
                f"and {principal.burst:g} at once; come back when the delay is over",
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
            f"{principal.name!r} has {places.num_taken} calls running, of "
            f"{principal.max_concurrent} that it may; come back when one has ended",
            wait,
        )
