"""What a request costs more that comes after a pause, and what passes beside processor time.

Threads of a closed loop never wait, so its costs are those of warm caches. Requests that come at
random find threads that were idle, as those of one caller do who pauses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.cache.throughput import TOKENS, FewPrompts
from benchmarks.capacity.costs import Costs, Curve, interpolate
from benchmarks.capacity.fleet_plan import FleetPlan
from benchmarks.capacity.pauses import Caller, Paused, ask_after_pauses
from benchmarks.capacity.simulation import Timing, simulate
from benchmarks.capacity.traffic import Traffic
from benchmarks.load.workload import CacheMode, Workload
from benchmarks.testbed.server import RunningServer
from lstmserve_server.config import EngineConfig

ONE_TOKEN, PROMPT_TOKENS = 1, 10  # what comes after the first token is not colder
GENERATED = Workload(max_tokens=ONE_TOKEN, cache_mode=CacheMode.BYPASS)
KEPT = FewPrompts()
PAUSES = (0.003, 0.01, 0.03, 0.1)
SHORTEST_AT_RANDOM = 0.01  # pauses from here on tell how long it takes to wake somebody
REQUESTS_PER_SECOND, FEWEST = 25, 10  # of each kind and pause, by the seconds of a figure
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
RARE = Traffic(0.5, questions=1, variants=1, prompt_tokens=(PROMPT_TOKENS, PROMPT_TOKENS))
LONG = Timing(warm_up=20.0, seconds=400.0)

ByPause = dict[float, Paused]


@dataclass(frozen=True)
class Alone:
    """A simulated request that nothing else runs beside: seconds."""

    front: float
    engine: float
    first: float  # until its first token


def measure_pauses(server: RunningServer, pool: Executor, seconds: float, costs: Costs) -> Costs:
    """Return the costs with those of idle threads, which are not among the given ones.

    All replies of ``FewPrompts`` must be kept already. ``seconds`` are for each figure.
    """
    caller = Caller.of(server)
    number = max(FEWEST, round(REQUESTS_PER_SECOND * seconds))

    def ask(workload: Workload) -> ByPause:
        return {
            pause: pool.submit(ask_after_pauses, caller, workload, pause, number).result()
            for pause in PAUSES
        }

    kept, generated = ask(KEPT), ask(GENERATED)
    return add_wake_ups(add_cold(costs, kept, generated), kept, generated)


def add_cold(costs: Costs, kept: ByPause, generated: ByPause) -> Costs:
    """Return the costs with what each thread spends more than the simulated one."""
    messages = 1 + -(-(TOKENS - 1) // EngineConfig().quantum_steps)
    sent = costs.generator_request_seconds + messages * costs.generator_message_seconds
    front, engine = simulate_kept(costs).front, simulate_generated(costs).engine
    return replace(
        costs,
        front_cold_seconds=_rise(kept, lambda one: one.front - front),
        engine_cold_seconds=_rise(generated, lambda one: one.engine - engine),
        generator_cold_seconds=_rise(kept, lambda one: one.generator - sent),
    )


def _rise(found: ByPause, extra: Callable[[Paused], float]) -> Curve:
    """Return what is spent more, by pause: the longer, the more."""
    seconds = np.maximum.accumulate([0.0, *map(extra, found.values())])
    return dict(zip((0.0, *found), seconds.tolist(), strict=True))


def add_wake_ups(costs: Costs, kept: ByPause, generated: ByPause) -> Costs:
    """Return the costs with what passes until a first token beside all that is simulated."""
    both = [costs.front_cold_seconds, costs.generator_cold_seconds]
    ours = _wait(kept, simulate_kept(costs).first, both)
    all_three = [*both, costs.engine_cold_seconds]
    theirs = _wait(generated, simulate_generated(costs).first, all_three)
    return replace(
        costs,
        wake_up_seconds=_to_curve(ours),
        engine_wake_up_seconds=_to_curve(np.maximum(0.0, np.subtract(theirs, ours)).tolist()),
    )


def _wait(found: ByPause, first: float, cold: Sequence[Curve]) -> Sequence[float]:
    """Return quantiles of what is left of the waits; ``first`` is that of the longest pause."""
    left: list[float] = []
    for pause, paused in found.items():
        warmer = sum(max(curve.values()) - interpolate(curve, pause) for curve in cold)
        if pause >= SHORTEST_AT_RANDOM:
            left += [max(0.0, wait - (first - warmer)) for wait in paused.waits]
    quantiles: list[float] = np.quantile(left, QUANTILES).tolist()
    return quantiles


def _to_curve(seconds: Sequence[float]) -> Curve:
    return dict(zip(QUANTILES, map(float, seconds), strict=True))


def simulate_kept(costs: Costs) -> Alone:
    return _simulate_alone(costs, 0.0, TOKENS)


def simulate_generated(costs: Costs) -> Alone:
    return _simulate_alone(costs, 1.0, ONE_TOKEN)


def _simulate_alone(costs: Costs, fresh_share: float, tokens: int) -> Alone:
    plan = FleetPlan(1, threshold=1, redis_shards=0, is_warm=False, is_machine_shared=True)
    traffic = replace(RARE, fresh_share=fresh_share, tokens=(tokens, tokens), max_tokens=tokens)
    outcome = simulate(plan, traffic, costs, LONG).outcome
    use, rate = outcome.use, outcome.requests_per_second
    return Alone(use.front / rate, use.engine / rate, outcome.first_token_ms.p50 / 1e3)
