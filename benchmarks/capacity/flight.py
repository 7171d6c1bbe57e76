"""Replies in the making, and what becomes of calls."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import simpy

from benchmarks.capacity.traffic import Question


class GoneError(Exception):
    """The replica ended while it answered."""


class Source(StrEnum):
    """Where a reply comes from, or why there is none."""

    NEAR = "near"  # this process
    FAR = "far"  # Redis
    JOINED = "joined"  # an identical request in flight
    GENERATED = "generated"
    REFUSED = "refused"  # and the client's retries with it
    LATE = "late"  # its deadline passed


@dataclass(eq=False)
class Call:
    """One request of a client, with all its attempts."""

    question: Question
    arrived: float
    deadline: float
    fortune: float  # which quantile of elapsed times it meets, 0 to 1
    first: float = 0.0
    end: float = 0.0
    source: Source = Source.GENERATED
    refusals: int = 0
    losses: int = 0  # of replicas that went while they answered it


@dataclass(eq=False)
class Flight:
    """A reply in the making, and all who wait for it."""

    question: Question
    first: simpy.Event
    done: simpy.Event
    followers: int = 1
    error: Exception | None = None

    def fail(self, error: Exception) -> None:
        """End it for all who wait; they look at ``error``."""
        self.error = error
        for event in (self.first, self.done):
            if not event.triggered:
                event.succeed()
