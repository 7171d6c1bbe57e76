"""What comes: when, which questions, how long the replies."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import repeat

import numpy as np

from benchmarks.capacity.popularity import Floats, draw_questions, zipf_shares

BURST_SECONDS = 1.0  # mean time that the rate stays high, and then low
SPREAD = 2_654_435_761  # Knuth's multiplicative hash: a reply's length is that of its question


@dataclass(frozen=True)
class Traffic:
    """Requests to the whole fleet."""

    rate: float  # requests per second, on average
    questions: int = 100_000  # different ones that are ever asked again
    exponent: float = 1.0  # Zipf's
    variants: int = 8  # replies to one question, --cache-variants
    fresh_share: float = 0.0  # of requests that no kept reply can answer
    burst_factor: float = 1.0  # up to 2: the rate is so many times the mean, then less, in turns
    callers: int = 1  # whom x-caller-id tells apart
    tokens: tuple[int, int] = (8, 64)  # of a reply, all lengths between equally often
    max_tokens: int = 64  # what a request asks for at most
    prompt_tokens: tuple[int, int] = (5, 15)
    is_streamed: bool = True
    timeout_seconds: float = 30.0

    @property
    def mean_tokens(self) -> float:
        return sum(self.tokens) / 2

    @property
    def shares(self) -> Floats:
        """Of each question among all requests."""
        return zipf_shares(self.questions, self.exponent) * (1 - self.fresh_share)


@dataclass(frozen=True, slots=True)
class Question:
    """One request; ``variant`` is -1 for what no kept reply can answer."""

    number: int
    variant: int
    tokens: int
    max_tokens: int
    prompt_tokens: int
    caller: str


Request = tuple[float, Question]  # and when it comes


def draw_requests(traffic: Traffic, seed: int) -> Iterator[Question]:
    """Yield what is asked; a variant of a question always has the same length."""
    source, (low, high) = random.Random(seed), traffic.tokens
    numbers = draw_questions(
        zipf_shares(traffic.questions, traffic.exponent), np.random.default_rng(seed)
    )
    for number in numbers:
        variant = source.randrange(traffic.variants)
        is_fresh = source.random() < traffic.fresh_share
        length = low + (number * SPREAD + variant * SPREAD // 7) // 64 % (high - low + 1)
        yield Question(
            number,
            -1 if is_fresh else variant,
            source.randint(low, high) if is_fresh else length,
            traffic.max_tokens,
            source.randint(*traffic.prompt_tokens),
            f"caller-{source.randrange(traffic.callers)}",
        )


def draw_gaps(
    rate: float, burst_factor: float, source: random.Random, now: Callable[[], float]
) -> Iterator[float]:
    """Yield the seconds between requests: Poisson, at two rates in turns where it is bursty."""
    high = rate * burst_factor
    rates = _take_turns(high, max(rate / 1000, 2 * rate - high), source, now)
    for current in rates if burst_factor > 1 else repeat(rate):
        yield source.expovariate(current)


def _take_turns(
    high: float, low: float, source: random.Random, now: Callable[[], float]
) -> Iterator[float]:
    current, until = high, 0.0
    while True:
        if now() >= until:
            current = low if current == high else high
            until = now() + source.expovariate(1 / BURST_SECONDS)
        yield current
