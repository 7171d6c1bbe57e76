"""What caches hold: exactly, or by Che's approximation for a fleet of which a sample runs."""

from __future__ import annotations

import random
from functools import cache
from typing import Protocol

import numpy as np

from benchmarks.capacity.che import hit_probabilities
from benchmarks.capacity.fleet_plan import FleetPlan, entry_bytes
from benchmarks.capacity.lru import Frequency, Lru
from benchmarks.capacity.popularity import Floats
from benchmarks.capacity.traffic import Traffic

Key = tuple[int, int]  # question and variant


class Contents(Protocol):
    """What all shards of Redis hold together."""

    def ask(self, key: Key, now: float) -> tuple[bool, bool]:
        """Count a request; return whether its reply is kept, and whether it is frequent."""

    def put(self, key: Key, num_bytes: float) -> None: ...

    def clear(self, now: float) -> None: ...


class ExactContents:
    """Of a fleet that is simulated whole."""

    def __init__(self, plan: FleetPlan, traffic: Traffic, seed: int) -> None:
        self._kept = Lru(plan.redis_bytes * plan.redis_shards)
        if plan.is_warm:
            fill(self._kept, likely_redis(plan, traffic), traffic.rate, traffic, seed)
        self._asked = Frequency(plan.window_seconds)
        self._threshold = plan.threshold

    def ask(self, key: Key, now: float) -> tuple[bool, bool]:
        is_frequent = self._asked.add(key[0], now) >= self._threshold
        return self._kept.find(key), is_frequent

    def put(self, key: Key, num_bytes: float) -> None:
        self._kept.put(key, num_bytes)

    def clear(self, now: float) -> None:  # noqa: ARG002 - what is counted stays
        self._kept.clear()


class LikelyContents:
    """Filled by replicas that are not simulated: each lookup is drawn."""

    def __init__(self, plan: FleetPlan, traffic: Traffic, source: random.Random) -> None:
        self._source = source
        self._probabilities = likely_redis(plan, traffic)
        self._rates = traffic.rate * traffic.shares
        self._variants = traffic.variants
        self._window_seconds = plan.window_seconds if plan.threshold > 1 else np.inf
        self._filled_since = -plan.ttl_seconds if plan.is_warm else 0.0

    def ask(self, key: Key, now: float) -> tuple[bool, bool]:
        rate, passed = self._rates[key[0]], now - self._filled_since
        again = -np.expm1(-rate * passed / self._variants)
        is_kept = self._source.random() < min(self._probabilities[key[0]], again)
        counted = min(passed, self._window_seconds)
        return is_kept, self._source.random() < -np.expm1(-rate * counted)

    def put(self, key: Key, num_bytes: float) -> None:
        """Do nothing: others of the fleet put as well."""

    def clear(self, now: float) -> None:
        self._filled_since = now


@cache
def likely_near(plan: FleetPlan, traffic: Traffic) -> Floats:
    """Return how likely each question's reply is kept in the process of one replica.

    With Redis all replicas count together what is asked for often enough.
    """
    rate = traffic.rate / plan.replicas
    counted = traffic.rate if plan.redis_shards else rate
    return _likely(plan, traffic, rate, counted, plan.cache_bytes)


@cache
def likely_redis(plan: FleetPlan, traffic: Traffic) -> Floats:
    """Return how likely Redis keeps each question's reply."""
    num_bytes = plan.redis_bytes * plan.redis_shards
    return _likely(plan, traffic, traffic.rate, traffic.rate, num_bytes)


def _likely(
    plan: FleetPlan, traffic: Traffic, rate: float, counted: float, num_bytes: float
) -> Floats:
    return hit_probabilities(
        rate * traffic.shares / traffic.variants,
        num_bytes / entry_bytes(traffic.mean_tokens),
        copies=traffic.variants,
        admission_rates=counted * traffic.shares if plan.threshold > 1 else None,
        window_seconds=plan.window_seconds,
        ttl_seconds=plan.ttl_seconds,
    )


def fill(kept: Lru, likely: Floats, rate: float, traffic: Traffic, seed: int) -> None:
    """Fill a cache with what it would keep after a day of this rate, the latest last."""
    source = np.random.default_rng(seed)
    rates = rate * traffic.shares / traffic.variants
    counts = source.binomial(traffic.variants, likely)
    numbers = np.repeat(np.arange(len(likely)), counts)
    first = np.repeat(source.integers(traffic.variants, size=len(likely)), counts)
    within = np.arange(len(numbers)) - np.repeat(np.cumsum(counts) - counts, counts)
    variants = (first + within) % traffic.variants
    # the time since the last request, which is exponential, of those that are recent enough
    ages = -np.log1p(-source.random(len(numbers)) * likely[numbers]) / rates[numbers]
    order = np.argsort(-ages)
    for key in zip(numbers[order].tolist(), variants[order].tolist(), strict=True):
        kept.put(key, entry_bytes(traffic.mean_tokens))
