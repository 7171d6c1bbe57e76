"""How long one caller waits for a cached reply, beside what gRPC and the model take."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import numpy as np

from benchmarks.cache.asking import encode, make_fresh_prompt
from benchmarks.cache.caller import UNARY, Caller, MeasureError, Reply, connect
from benchmarks.cache.finding import Finding, Target
from benchmarks.cache.sizes import Sizes
from benchmarks.cache.stage import Stage
from benchmarks.load.figures import Percentiles
from benchmarks.load.workload import CacheMode

HEALTH = "/grpc.health.v1.Health/Check"
GET_MODEL = "/lstmserve.v1.ModelService/GetModel"
TOKENS = 64
IN_PROCESS_P50 = Target(0.7)
REDIS_P50 = Target(1.5)


@dataclass(frozen=True)
class _Contestant:
    """One way to get an answer."""

    name: str
    caller: Caller
    path: str
    request: bytes
    outcome: str = ""  # that each reply must have
    target: Target | None = None


async def measure_latency(stage: Stage, sizes: Sizes) -> list[Finding]:
    """All take turns, so that a busy moment of the machine meets each of them."""
    async with AsyncExitStack() as stack:
        contestants = await _make_contestants(stage, stack)
        seconds: dict[str, list[float]] = {one.name: [] for one in contestants}
        for _ in range(sizes.latency_blocks):
            for one in contestants:
                await _call(one)  # its data is in the processor's caches then
                for _ in range(sizes.latency_block_calls):
                    seconds[one.name].append((await _call(one)).seconds)
    percentiles = {
        name: Percentiles.of_seconds(np.array(values)) for name, values in seconds.items()
    }
    return _describe(contestants, percentiles)


async def _make_contestants(stage: Stage, stack: AsyncExitStack) -> list[_Contestant]:
    near, tcp, unix = [
        await stack.enter_async_context(connect(server))
        for server in (stage.near, stage.over_tcp, stage.over_unix)
    ]
    prompt = make_fresh_prompt()
    request, bypass = encode(prompt, TOKENS), encode(prompt, TOKENS, CacheMode.BYPASS)
    for caller in (near, tcp, unix):
        await caller.call_until_hit(UNARY, request)
    return [
        _Contestant("health check", near, HEALTH, b""),
        _Contestant("model card", near, GET_MODEL, b""),
        _Contestant("cached in process", near, UNARY, request, "hit", IN_PROCESS_P50),
        _Contestant("cached in Redis, TCP", tcp, UNARY, request, "hit", REDIS_P50),
        _Contestant("cached in Redis, Unix socket", unix, UNARY, request, "hit", REDIS_P50),
        _Contestant("generated", near, UNARY, bypass, "bypass"),
    ]


async def _call(one: _Contestant) -> Reply:
    reply = await one.caller.call(one.path, one.request)
    if one.outcome and reply.outcome != one.outcome:
        raise MeasureError(f"{one.name}: {reply.outcome}, not {one.outcome}")
    return reply


def _describe(
    contestants: Sequence[_Contestant], percentiles: dict[str, Percentiles]
) -> list[Finding]:
    floor, generated = percentiles["health check"].p50, percentiles["generated"].p50
    findings = []
    for one in contestants:
        its = percentiles[one.name]
        note = f"{its.p50 / floor:.2f} health checks"
        if one.outcome == "hit":
            note += f", 1/{generated / its.p50:.1f} of generating {TOKENS} tokens"
        findings.append(Finding(f"{one.name}, p50", its.p50, "ms", one.target, note))
        findings.append(Finding(f"{one.name}, p99", its.p99, "ms"))
    return findings
