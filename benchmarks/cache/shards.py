"""Popular prompts before a Redis Cluster: how many lookups reach it, and its busiest node.

Redis has every reply before a server is asked. So each lookup that is left is one that the server
had to make, because it had not kept the reply itself yet, or not any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from time import perf_counter

from benchmarks.cache.caller import Caller, connect, encode, make_prompts
from benchmarks.cache.sizes import Sizes
from benchmarks.cache.stage import NO_REPLIES_IN_PROCESS, Stage
from benchmarks.load.dialect import UNARY
from benchmarks.load.findings import Finding
from benchmarks.load.prompts import draw_ranks
from benchmarks.testbed.redis_cluster import RedisCluster

NUM_PRIMARIES = 3
NODE_TIMEOUT_MS = 15_000  # Redis' default: nobody fails here
EXPONENT = 1.0
SEED = 1
CALLERS = 64
TOKENS = 16
HOT_SHARE = 2  # one of so many requests is for the most popular prompt
# of a reply of so many tokens in process, with all that holds it
ENTRY_BYTES = 1100
ROOM_SHARE = 20  # a small memory has room for one reply in so many


@dataclass(frozen=True)
class _Outcome:
    lookups: Sequence[int]  # of each node
    requests: int
    seconds: float

    @property
    def per_request(self) -> float:
        return sum(self.lookups) / self.requests

    @property
    def hottest_share(self) -> float:
        return max(self.lookups) / max(1, sum(self.lookups))

    @property
    def hottest_rate(self) -> float:
        return max(self.lookups) / self.seconds


async def measure_shards(stage: Stage, sizes: Sizes) -> list[Finding]:
    number = sizes.shard_prompts
    requests = [encode(prompt, TOKENS) for prompt in make_prompts(number, SEED)]
    zipf = draw_ranks(number, EXPONENT, sizes.shard_requests, SEED)
    loads = {
        "Zipf(1.0)": zipf,
        "one prompt has half": [
            0 if place % HOT_SHARE else rank for place, rank in enumerate(zipf)
        ],
    }
    room = str(number * ENTRY_BYTES // ROOM_SHARE)
    servers = {
        "in Redis alone": NO_REPLIES_IN_PROCESS,
        f"memory for {number // ROOM_SHARE} replies": ("--cache-bytes", room),
        "memory as it comes": (),
    }
    findings = []
    with stage.open_cluster(NUM_PRIMARIES, NODE_TIMEOUT_MS) as cluster:
        shared = ("--redis-url", cluster.url, "--cache-threshold", "1")
        await _fill(stage, shared, requests)
        for name, asked in loads.items():
            for kind, arguments in servers.items():
                with stage.start(*shared, *arguments) as server:
                    async with connect(server) as caller:
                        outcome = await _ask_all(cluster, caller, requests, asked)
                findings += _describe(f"{name}, {kind}", outcome)
    return findings


async def _fill(stage: Stage, shared: Sequence[str], requests: Sequence[bytes]) -> None:
    with stage.start(*shared, *NO_REPLIES_IN_PROCESS) as server:
        async with connect(server) as caller:
            for request in requests:
                await caller.call_until_hit(UNARY, request)


async def _ask_all(
    cluster: RedisCluster, caller: Caller, requests: Sequence[bytes], asked: Sequence[int]
) -> _Outcome:
    for node in cluster.primaries:
        node.client.config_resetstat()
    order = iter(asked)  # all callers take theirs from here
    began = perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(CALLERS):
            group.create_task(_ask(caller, requests, order))
    seconds = perf_counter() - began
    lookups = [node.count_calls() for node in cluster.primaries]
    return _Outcome(lookups, len(asked), seconds)


async def _ask(caller: Caller, requests: Sequence[bytes], order: Iterable[int]) -> None:
    for rank in order:
        await caller.call(UNARY, requests[rank])


def _describe(name: str, outcome: _Outcome) -> list[Finding]:
    rate = outcome.requests / outcome.seconds
    return [
        Finding(f"{name}: lookups in Redis per request", outcome.per_request),
        Finding(f"{name}: share of the busiest node", outcome.hottest_share),
        Finding(
            f"{name}: lookups/s at the busiest node",
            outcome.hottest_rate,
            "/s",
            note=f"at {rate:,.0f} requests/s",
        ),
    ]
