"""Requests as the traffic has them, drawn while the simulation runs."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import simpy

from benchmarks.capacity.traffic import Question, Request, Traffic, draw_gaps, draw_requests


class DrawnRequests:
    """What comes to a fleet; a scenario may make one question hot."""

    def __init__(
        self,
        environment: simpy.Environment,
        traffic: Traffic,
        rate: float,
        seed: int,
        source: random.Random,
    ) -> None:
        """``rate``: requests per second to all that is simulated."""
        self.hot_share = 0.0  # of requests that ask one and the same question
        self._environment, self._traffic, self._rate = environment, traffic, rate
        self._seed, self._source = seed, source

    def __iter__(self) -> Iterator[Request]:
        environment, factor = self._environment, self._traffic.burst_factor
        gaps = draw_gaps(self._rate, factor, self._source, lambda: environment.now)
        for question in self._draw_questions():
            yield environment.now + next(gaps), question

    def _draw_questions(self) -> Iterator[Question]:
        last, variants = self._traffic.questions - 1, self._traffic.variants  # hardly ever asked
        for question in draw_requests(self._traffic, self._seed):
            if self.hot_share and self._source.random() < self.hot_share:
                yield replace(question, number=last, variant=self._source.randrange(variants))
            else:
                yield question
