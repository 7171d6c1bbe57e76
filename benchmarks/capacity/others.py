"""Other programs on the same cores: threads that come and go, whatever share they get."""

from __future__ import annotations

import random
from math import comb

import simpy

from benchmarks.capacity.cores import Cores, Steps

THREADS = 6  # at most so many want a core at once
BURST_SECONDS = 0.05  # that one wants it for, on average
BISECTIONS = 40


def start_others(
    environment: simpy.Environment, cores: Cores, used: float, source: random.Random
) -> None:
    """Let other threads take so many cores on average, where nobody else wants them."""
    share = find_share(used, cores.number)
    for _ in range(THREADS if share else 0):
        environment.process(_come_and_go(environment, cores, share, source))


def find_share(used: float, cores: float) -> float:
    """Return the share of the time in which each thread wants a core."""
    low, high = 0.0, 1.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if _expect_used(middle, cores) < used else (low, middle)
    return high if used else 0.0


def _expect_used(share: float, cores: float) -> float:
    return sum(
        comb(THREADS, n) * share**n * (1 - share) ** (THREADS - n) * min(n, cores)
        for n in range(THREADS + 1)
    )


def _come_and_go(
    environment: simpy.Environment, cores: Cores, share: float, source: random.Random
) -> Steps:
    pause_seconds = BURST_SECONDS * (1 - share) / share
    is_there = source.random() < share
    while True:
        if is_there:
            cores.add_other(1)
            yield environment.timeout(source.expovariate(1 / BURST_SECONDS))
            cores.add_other(-1)
        yield environment.timeout(pause_seconds * source.expovariate(1))
        is_there = True
