"""The same load in the simulation: replicas, Redis, generator and other programs share cores."""

from __future__ import annotations

from dataclasses import dataclass

import psutil

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


def simulate_same(
    replicas: int,
    rate: float,
    costs: Costs,
    timing: Timing,
    seed: int,
    others: float,
    *,
    is_kept: bool,
) -> Figures:
    plan = FleetPlan(
        replicas,
        cores=psutil.cpu_count() or 1,
        balancer=Balancer.RANDOM,
        threshold=1,
        is_warm=False,
        is_machine_shared=True,
    )
    traffic = Traffic(
        rate,
        questions=len(load_prompts()),
        exponent=EXPONENT,
        variants=1,
        fresh_share=0.0 if is_kept else 1.0,
        tokens=(KEPT_TOKENS, KEPT_TOKENS) if is_kept else (MOST_TOKENS // 8, MOST_TOKENS),
    )
    outcome = simulate(plan, traffic, costs, timing, seed=seed, others=others).outcome
    first, reply = outcome.first_token_ms, outcome.reply_ms
    rates = outcome.requests_per_second, outcome.tokens_per_second
    return Figures(*rates, first.p50, first.p99, reply.p50, reply.p99)
