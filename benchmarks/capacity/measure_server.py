"""Costs of a running server, of the load generator, and of Redis."""

from __future__ import annotations

from concurrent.futures import Executor
from time import perf_counter

import numpy as np

from benchmarks.cache.stage import Stage
from benchmarks.cache.throughput import TOKENS, FewPrompts
from benchmarks.capacity.measure_engine import EngineCosts
from benchmarks.capacity.watch import Linear, Watch
from benchmarks.load.usage import scrape
from benchmarks.load.workload import CacheMode, Workload
from benchmarks.testbed.redis import RedisProcess
from benchmarks.testbed.server import RunningServer

FEW_TOKENS = 8
PROMPT_TOKENS = 10  # of the questions, about
CALLS = 300
UNDISTURBED_PERCENTILE = 10  # others have a core more often than not, on a busy machine


def measure_server(
    stage: Stage, pool: Executor, seconds: float, engine: EngineCosts
) -> dict[str, float]:
    """Return the costs of the server's processes, the generator's and Redis'."""
    near = Watch(stage.near, pool, seconds)
    bypass = [
        Workload(max_tokens=tokens, cache_mode=CacheMode.BYPASS) for tokens in (FEW_TOKENS, TOKENS)
    ]
    few, many = near.run(bypass[0]), near.run(bypass[1])
    factor = _compare(stage.near, near, bypass[1], engine)
    kept = near.run(FewPrompts())
    far = Watch(stage.over_tcp, pool, seconds, stage.redis).run(FewPrompts(), warm_up=2.0)
    front, sent = (Linear.through(few, many, name) for name in ("front", "generator"))
    front_kept = max(0.0, (kept.front - front.message * kept.messages) / kept.requests)
    front_far = max(0.0, (far.front - front.message * far.messages) / far.requests - front_kept)
    return {
        "engine_factor": factor,
        "front_generated_seconds": front.request,
        "front_kept_seconds": front_kept,
        "front_far_seconds": front_far,
        "front_message_seconds": front.message,
        "redis_operation_seconds": far.redis / far.requests,
        "redis_round_trip_seconds": _ping(stage.redis),
        "generator_request_seconds": sent.request,
        "generator_message_seconds": sent.message,
    }


def _compare(server: RunningServer, watch: Watch, workload: Workload, costs: EngineCosts) -> float:
    """Return the engine's processor time under load, divided by that of the figures alone."""
    names = ("batch_rows_sum", "batch_rows_count")
    before = [scrape(server).total(name) for name in names]
    spent = watch.run_once(workload)
    after = [scrape(server).total(name) for name in names]
    rows, calls = (now - was for now, was in zip(after, before, strict=True))
    mean_rows, tokens = rows / calls, spent.requests * workload.max_tokens
    numbers = sorted(costs.step_seconds)
    step = np.interp(mean_rows, numbers, [costs.step_seconds[number] for number in numbers])
    prompts = costs.prefill_token_seconds * PROMPT_TOKENS + costs.reply_seconds
    alone = calls * costs.turn_seconds + tokens / mean_rows * step + spent.requests * prompts
    return float(spent.engine / alone)


def _ping(redis: RedisProcess) -> float:
    """Return the elapsed seconds of an operation that does nothing."""
    spent = []
    for _ in range(CALLS):
        began = perf_counter()
        redis.client.ping()
        spent.append(perf_counter() - began)
    return float(np.percentile(spent, UNDISTURBED_PERCENTILE))
