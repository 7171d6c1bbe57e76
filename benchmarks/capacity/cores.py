"""Cores that threads share, and threads that do one job after the other."""

from __future__ import annotations

from collections.abc import Generator
from heapq import heappop, heappush
from itertools import count
from typing import Any

import simpy

from benchmarks.capacity.costs import NOTHING, Curve, interpolate

Steps = Generator[simpy.Event, Any, None]
ROUNDING_SECONDS = 1e-12


class Cores:
    """Processor sharing: of n threads that run, each gets the share min(1, number / n).

    A job ends when the virtual time, which passes at that pace, has grown by its seconds.
    """

    def __init__(self, environment: simpy.Environment, number: float) -> None:
        self.number = number
        self.busy_seconds = 0.0  # with jobs
        self._environment = environment
        self._num_others = 0
        self._jobs: list[tuple[float, int, simpy.Event]] = []  # by the virtual time of their end
        self._order = count()
        self._virtual = self._at = 0.0
        self._plan = 0  # the number of the timer that is in force

    def run(self, seconds: float) -> simpy.Event:
        """Return what happens when so much processor time has been spent."""
        self._advance()
        done = self._environment.event()
        heappush(self._jobs, (self._virtual + seconds, next(self._order), done))
        self._wait_for_first()
        return done

    def add_other(self, count: int) -> None:
        """Let threads of other programs take their shares, or go."""
        self._advance()
        self._num_others += count
        self._wait_for_first()

    @property
    def _pace(self) -> float:
        return min(1.0, self.number / (len(self._jobs) + self._num_others))

    def _advance(self) -> None:
        elapsed, self._at = self._environment.now - self._at, self._environment.now
        if self._jobs:
            passed = elapsed * self._pace
            self._virtual += passed
            self.busy_seconds += passed * len(self._jobs)

    def _wait_for_first(self) -> None:
        self._plan += 1
        if not self._jobs:
            return
        left = max(0.0, self._jobs[0][0] - self._virtual)
        timer = self._environment.timeout(left / self._pace, self._plan)
        timer.callbacks.append(self._on_timer)

    def _on_timer(self, timer: simpy.Event) -> None:
        if timer.value != self._plan:
            return  # others came or went meanwhile
        self._advance()
        # the clock rounds: what was waited for is done now, however little seems to be left
        self._virtual = max(self._virtual, self._jobs[0][0])
        while self._jobs and self._jobs[0][0] <= self._virtual + ROUNDING_SECONDS:
            heappop(self._jobs)[2].succeed()
        self._wait_for_first()


class Thread:
    """Does one job after the other, in the order they come.

    ``cold_seconds``: what a job costs more after the thread was idle, by for how long. Meanwhile
    others ran, or the core slept, so what the job needs has left the caches.
    """

    def __init__(
        self, environment: simpy.Environment, cores: Cores, cold_seconds: Curve = NOTHING
    ) -> None:
        self.busy_seconds = 0.0  # processor time
        self._environment, self._cores, self._cold_seconds = environment, cores, cold_seconds
        self._turn = simpy.Resource(environment, 1)
        self._idle_since = 0.0

    @property
    def num_waiting(self) -> int:
        return len(self._turn.queue)

    def run(self, seconds: float) -> Steps:
        """Wait for one's turn, then spend the time."""
        with self._turn.request() as turn:
            yield turn
            idle = self._environment.now - self._idle_since
            if idle > 0:
                seconds += interpolate(self._cold_seconds, idle)
            self.busy_seconds += seconds
            yield self._cores.run(seconds)
            self._idle_since = self._environment.now
