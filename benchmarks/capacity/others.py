"""Other programs on the same cores: threads that come and go, whatever share they get."""

from __future__ import annotations

import random
from math import ceil

import simpy

from benchmarks.capacity.cores import Cores, Steps

BURST_SECONDS = 0.05  # that one wants a core for, on average


def start_others(
    environment: simpy.Environment, cores: Cores, wanting: float, source: random.Random
) -> None:
    """Let so many other threads want a core on average, and twice as many at most."""
    number = ceil(2 * wanting)
    for _ in range(number):
        environment.process(_come_and_go(environment, cores, wanting / number, source))


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
