"""The same load in the simulation: replicas, Redis, generator and other programs share cores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from math import nan
from operator import itemgetter
from typing import Any

from benchmarks.capacity.costs import Costs
from benchmarks.capacity.fleet_plan import Balancer, FleetPlan
from benchmarks.capacity.same_load import draw_same, make_workload
from benchmarks.capacity.simulation import Timing, simulate
from benchmarks.capacity.traffic import Request, Traffic
from benchmarks.load.measure import LEAD_SECONDS
from benchmarks.load.workload import Workload


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


def make_workloads(replicas: int, seed: int, *, is_kept: bool) -> list[Workload]:
    """Return what each replica is asked."""
    numbers = range(seed * replicas, (seed + 1) * replicas)
    return [make_workload(number, is_kept=is_kept) for number in numbers]


def simulate_same(loaded: Loaded, costs: Costs) -> Figures:
    """Simulate the same requests beside as many threads of other programs."""
    plan = FleetPlan(
        loaded.replicas,
        cores=loaded.cores,
        balancer=Balancer.CALLER,
        threshold=1,
        is_warm=False,
        is_machine_shared=True,
    )
    timing = Timing(LEAD_SECONDS + loaded.warm_up_seconds, loaded.seconds)
    # where others want more than there is, the load average knows how many they are
    wanting = max(loaded.others, loaded.load_average - loaded.utilization * loaded.cores)
    requests = _draw_requests(loaded, timing.end)
    traffic = Traffic(loaded.rate, questions=1, variants=1)
    run = simulate(
        plan, traffic, costs, timing, seed=loaded.seed, others=wanting, requests=requests
    )
    outcome = run.outcome
    first, reply = outcome.first_token_ms, outcome.reply_ms
    rates = outcome.requests_per_second, outcome.tokens_per_second
    return Figures(*rates, first.p50, first.p99, reply.p50, reply.p99)


def _draw_requests(loaded: Loaded, seconds: float) -> list[Request]:
    """Return what all replicas are asked, each by a caller of its own."""
    rate = loaded.rate / loaded.replicas
    workloads = make_workloads(loaded.replicas, loaded.seed, is_kept=loaded.is_kept)
    each = (draw_same(rate, seconds, one, str(number)) for number, one in enumerate(workloads))
    return sorted(chain.from_iterable(each), key=itemgetter(0))
