"""How long one caller waits for a cached reply, beside what gRPC and the model take."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import numpy as np

from benchmarks.cache.caller import Caller, Reply, connect, encode, make_fresh_prompt
from benchmarks.cache.sizes import Sizes
from benchmarks.cache.stage import Stage
from benchmarks.load.dialect import UNARY
from benchmarks.load.figures import Percentiles
from benchmarks.load.findings import Finding, Target
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
    outcome: str = ""  # that a reply should have
    target: Target | None = None


@dataclass
class _Timed:
    """The calls of one contestant."""

    seconds: list[float] = field(default_factory=list)
    num_others: int = 0  # Redis may be too slow on a busy machine: then it is no hit

    def add(self, reply: Reply, outcome: str) -> None:
        self.seconds.append(reply.seconds)
        self.num_others += bool(outcome) and reply.outcome != outcome

    @property
    def percentiles(self) -> Percentiles:
        return Percentiles.of_seconds(np.array(self.seconds))


async def measure_latency(stage: Stage, sizes: Sizes) -> list[Finding]:
    """All take turns, so that a busy moment of the machine meets each of them."""
    async with AsyncExitStack() as stack:
        contestants = await _make_contestants(stage, stack)
        timed = {one.name: _Timed() for one in contestants}
        for _ in range(sizes.latency_blocks):
            for one in contestants:
                await _call(one)  # its data is in the processor's caches then
                for _ in range(sizes.latency_block_calls):
                    timed[one.name].add(await _call(one), one.outcome)
    return _describe(contestants, timed)


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
    return await one.caller.call(one.path, one.request)


def _describe(contestants: Sequence[_Contestant], timed: dict[str, _Timed]) -> list[Finding]:
    percentiles = {name: its.percentiles for name, its in timed.items()}
    floor, generated = percentiles["health check"].p50, percentiles["generated"].p50
    findings = []
    for one in contestants:
        its = percentiles[one.name]
        note = f"{its.p50 / floor:.2f} health checks"
        if one.outcome == "hit":
            note += f", 1/{generated / its.p50:.1f} of generating {TOKENS} tokens"
        findings.append(Finding(f"{one.name}, p50", its.p50, "ms", one.target, note))
        others = timed[one.name].num_others
        note = f"{others} were no {one.outcome}" if others else ""
        findings.append(Finding(f"{one.name}, p99", its.p99, "ms", note=note))
    return findings
