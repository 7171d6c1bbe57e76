"""When a store that fails is left alone, and when it is asked again. Plain logic, no I/O."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from math import inf

from lstmserve_server.failures import backoff_seconds


class Phase(Enum):
    """What the breaker lets through."""

    CLOSED = "closed"  # everything
    OPEN = "open"  # nothing
    HALF_OPEN = "half open"  # nothing but the probe that runs


class Breaker:
    """Opens after some failures in a row, and closes at the first probe that succeeds."""

    def __init__(
        self,
        max_failures: int,
        first_seconds: float,
        clock: Callable[[], float],
        most_seconds: float = inf,
    ) -> None:
        """Wait ``first_seconds`` before the first probe, doubled after each that fails."""
        self._max_failures = max_failures
        self._first_seconds = first_seconds
        self._most_seconds = most_seconds
        self._clock = clock
        self._failures = 0  # of requests while closed, of probes since
        self._probe_at = 0.0
        self.phase = Phase.CLOSED

    @property
    def is_closed(self) -> bool:
        return self.phase is Phase.CLOSED

    def record(self, *, is_success: bool) -> bool:
        """Note that a request has ended; return whether that has opened the breaker.

        Requests that began before it opened tell nothing new, whatever came of them.
        """
        if not self.is_closed:
            return False
        self._failures = 0 if is_success else self._failures + 1
        if self._failures < self._max_failures:
            return False
        self._failures = 0
        self._open()
        return True

    def seconds_to_probe(self) -> float:
        """Return how long until the next probe is due."""
        return max(0.0, self._probe_at - self._clock())

    def begin_probe(self) -> None:
        self.phase = Phase.HALF_OPEN

    def end_probe(self, *, is_success: bool) -> None:
        if is_success:
            self._failures = 0
            self.phase = Phase.CLOSED
        else:
            self._open()

    def _open(self) -> None:
        self.phase = Phase.OPEN
        self._failures += 1
        pause = backoff_seconds(self._failures, self._first_seconds)
        self._probe_at = self._clock() + min(self._most_seconds, pause)


class Breakers:
    """One for each server that Redis consists of: one that fails concerns its own keys alone."""

    def __init__(self, make: Callable[[], Breaker]) -> None:
        self._make = make
        self._breakers: dict[str, Breaker] = {}

    @property
    def are_closed(self) -> bool:
        return all(breaker.is_closed for breaker in self._breakers.values())

    @property
    def are_open(self) -> bool:
        """Whether nothing is asked; before anything was, no server has failed."""
        breakers = self._breakers.values()
        return bool(breakers) and not any(breaker.is_closed for breaker in breakers)

    def of(self, place: str) -> Breaker:
        """Return the breaker of a server, which may be new."""
        if place not in self._breakers:
            self._breakers[place] = self._make()
        return self._breakers[place]

    def find_next(self) -> tuple[str, Breaker]:
        """Return the open one that is to be probed first, and its server; there must be one."""
        opened = [item for item in self._breakers.items() if not item[1].is_closed]
        return min(opened, key=lambda item: item[1].seconds_to_probe())
