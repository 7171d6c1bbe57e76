"""The same load in the simulation: replicas, Redis, generator and other programs share cores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import nan
from typing import Any

from benchmarks.capacity.costs import Costs
from benchmarks.capacity.fleet_plan import Balancer, FleetPlan
from benchmarks.capacity.simulation import Timing, simulate
from benchmarks.capacity.traffic import Traffic
from benchmarks.load.prompts import load_prompts

EXPONENT = 1.2
KEPT_TOKENS, MOST_TOKENS = 32, 64


@dataclass(frozen=True)
class Figures:
    """What is compared; milliseconds, and per second."""

    requests: float
    tokens: float
    first_p50: float
    first_p99: float
    reply_p50: float
    reply_p99: float


@dataclass(frozen=True)
class Loaded:
    """One load of real replicas on this machine."""

    replicas: int
    is_kept: bool  # replies may be; otherwise all are generated
    rate: float
    seed: int
    warm_up_seconds: float
    seconds: float
    cores: float  # of the machine
    utilization: float  # of them, by servers and generator
    others: float  # cores that other programs used meanwhile
    load_average: float
    errors: int
    measured: Figures

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Loaded:
        measured = {name: nan if one is None else one for name, one in found["measured"].items()}
        return cls(**{**found, "measured": Figures(**measured)})


def simulate_same(loaded: Loaded, costs: Costs) -> Figures:
    """Simulate the same load beside as many threads of other programs."""
    plan = FleetPlan(
        loaded.replicas,
        cores=loaded.cores,
        balancer=Balancer.RANDOM,
        threshold=1,
        is_warm=False,
        is_machine_shared=True,
    )
    traffic = Traffic(
        loaded.rate,
        questions=len(load_prompts()),
        exponent=EXPONENT,
        variants=1,
        fresh_share=0.0 if loaded.is_kept else 1.0,
        tokens=(KEPT_TOKENS, KEPT_TOKENS) if loaded.is_kept else (MOST_TOKENS // 8, MOST_TOKENS),
    )
    timing = Timing(loaded.warm_up_seconds, loaded.seconds)
    # where others want more than there is, the load average knows how many they are
    wanting = max(loaded.others, loaded.load_average - loaded.utilization * loaded.cores)
    run = simulate(plan, traffic, costs, timing, seed=loaded.seed, others=wanting)
    outcome = run.outcome
    first, reply = outcome.first_token_ms, outcome.reply_ms
    rates = outcome.requests_per_second, outcome.tokens_per_second
    return Figures(*rates, first.p50, first.p99, reply.p50, reply.p99)
