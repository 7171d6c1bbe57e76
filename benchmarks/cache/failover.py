"""A Redis Cluster of six loses a primary while slots move: what callers notice, by the second.

Two servers share it. One keeps replies in process as well, as it comes; the other asks Redis each
time. Every prompt was asked before, so that all that is no hit is the fault's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from benchmarks.cache.caller import Caller, Reply, connect, encode, make_prompts
from benchmarks.cache.rated_load import RatedLoad
from benchmarks.cache.sizes import Sizes
from benchmarks.cache.stage import NO_REPLIES_IN_PROCESS, Stage
from benchmarks.load.dialect import UNARY
from benchmarks.load.findings import Finding, Target
from benchmarks.load.usage import MeasureError, scrape
from benchmarks.load.workload import CacheMode
from benchmarks.testbed.redis_cluster import RedisCluster, find_slots, is_replica, move_slot

NUM_PRIMARIES = 3
SEED = 0
TOKENS = 16
FILLERS = 16
NONE = Target(0)
# how much of the hits before must be there again, in so many seconds one after the other
BACK_SHARE, BACK_SECONDS = 0.95, 3
# --redis-budget-ms and a quarter of it, by which a busy event loop may be late, are 25 ms
BUDGET_BUCKET = "0.0261"
LOOK_SECONDS, LOOKS = 0.25, 400


@dataclass
class _Moments:
    """When what happened, and how many slots moved."""

    began_at: float
    killed_at: float = 0.0
    replaced_at: float = 0.0  # the replica is the primary
    moved_at: float = 0.0
    ended_at: float = 0.0
    num_moved: int = 0


async def measure_failover(stage: Stage, sizes: Sizes) -> list[Finding]:
    with stage.open_cluster(NUM_PRIMARIES, sizes.node_timeout_ms) as cluster:
        async with _open_loads(stage, cluster, sizes) as loads:
            moments = await _go_through(cluster, loads, sizes.calm_seconds)
            late = [_count_late(load) for load in loads]
    away = max(_find_back(load, moments, moments.ended_at) or 0 for load in loads)
    findings = _describe_moments(moments, sizes)
    for load, found in zip(loads, late, strict=True):
        findings += _describe(load, moments, max(away, 1), found)
    return findings


@asynccontextmanager
async def _open_loads(
    stage: Stage, cluster: RedisCluster, sizes: Sizes
) -> AsyncIterator[list[RatedLoad]]:
    """Two servers, both of which have every reply that they will be asked for."""
    shared = ("--redis-url", cluster.url, "--cache-threshold", "1")
    with stage.start(*shared) as near, stage.start(*shared, *NO_REPLIES_IN_PROCESS) as far:
        async with connect(near) as near_caller, connect(far) as far_caller:
            known = await _make_known(far_caller, sizes.failover_prompts)
            await _for_all(near_caller, known)
            rate = sizes.failover_rate
            yield [
                RatedLoad("in process and in Redis", near, near_caller, known, rate),
                RatedLoad("in Redis alone", far, far_caller, known, rate),
            ]


async def _make_known(caller: Caller, number: int) -> list[tuple[bytes, Reply]]:
    """Requests with their replies, made without any cache; then they are kept."""
    known = []
    for prompt in make_prompts(number, SEED):
        reply = await caller.call(UNARY, encode(prompt, TOKENS, CacheMode.BYPASS))
        known.append((encode(prompt, TOKENS), reply))
    await _for_all(caller, known)
    return known


async def _for_all(caller: Caller, known: Sequence[tuple[bytes, Reply]]) -> None:
    requests = iter(known)  # all take theirs from here

    async def ask() -> None:
        for request, _ in requests:
            await caller.call_until_hit(UNARY, request)

    async with asyncio.TaskGroup() as group:
        for _ in range(FILLERS):
            group.create_task(ask())


async def _go_through(cluster: RedisCluster, loads: Sequence[RatedLoad], calm: float) -> _Moments:
    """Calm, the fault until all is as before, and calm again."""
    asking = [asyncio.create_task(load.run()) for load in loads]
    moments = _Moments(perf_counter())
    try:
        await asyncio.sleep(calm)
        await _break(cluster, moments)
        await _wait_until_back(loads, moments)
        await asyncio.sleep(calm)
        moments.ended_at = perf_counter()
    finally:
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
    return moments


async def _break(cluster: RedisCluster, moments: _Moments) -> None:
    """Kill a primary, and move all slots in use from the second to the third meanwhile."""
    killed, source, destination = cluster.primaries
    replica = cluster.find_replica(killed)
    moments.killed_at = perf_counter()
    killed.kill()

    def move() -> None:
        for slot in find_slots(source):
            move_slot(slot, source, destination)
            moments.num_moved += 1
        moments.moved_at = perf_counter()

    async def has_taken_over() -> bool:
        return not await asyncio.to_thread(is_replica, replica)

    moving = asyncio.create_task(asyncio.to_thread(move))
    await _wait_until(has_taken_over, "the replica has taken over")
    moments.replaced_at = perf_counter()
    await moving
    await asyncio.to_thread(killed.start)  # as a replica


async def _wait_until_back(loads: Sequence[RatedLoad], moments: _Moments) -> None:
    async def is_back() -> bool:
        now = perf_counter() - 1  # calls of the last second may be under way
        return all(_find_back(load, moments, now) is not None for load in loads)

    await _wait_until(is_back, "all servers find what they found before")


async def _wait_until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Look seldom, as that takes time from the callers; raises MeasureError."""
    for _ in range(LOOKS):
        if await condition():
            return
        await asyncio.sleep(LOOK_SECONDS)
    raise MeasureError(f"not within {LOOKS * LOOK_SECONDS:.0f} s: {what}")


def _find_back(load: RatedLoad, moments: _Moments, end: float) -> int | None:
    """Return how many seconds after the kill a server found what it had found before."""
    least = BACK_SHARE * float(np.mean(load.hit_ratios(moments.began_at, moments.killed_at)))
    ratios = load.hit_ratios(moments.killed_at, end)
    for second in range(len(ratios) - BACK_SECONDS + 1):
        if min(ratios[second : second + BACK_SECONDS]) >= least:
            return second
    return None


def _count_late(load: RatedLoad) -> tuple[float, float]:
    """Return how many lookups in Redis took longer than the budget, and how many there were."""
    page = scrape(load.server)
    name = "cache_lookup_seconds"
    total = page.total(f"{name}_count", store="redis")
    return total - page.total(f"{name}_bucket", store="redis", le=BUDGET_BUCKET), total


def _describe_moments(moments: _Moments, sizes: Sizes) -> list[Finding]:
    note = f"cluster-node-timeout {sizes.node_timeout_ms:,} ms"
    took_over = moments.replaced_at - moments.killed_at
    moved = moments.moved_at - moments.killed_at
    return [
        Finding("seconds from SIGKILL until the replica is a primary", took_over, "s", note=note),
        Finding("slots moved meanwhile", moments.num_moved, note=f"in {moved:.1f} s"),
    ]


def _describe(
    load: RatedLoad, moments: _Moments, away: int, late: tuple[float, float]
) -> list[Finding]:
    """``away``: seconds in which some server did not find what it had found before."""
    back_at = moments.killed_at + away
    during = load.hit_ratios(moments.killed_at, back_at)
    parts = {
        "before": (moments.began_at, moments.killed_at),
        "during": (moments.killed_at, back_at),
        "after": (back_at, moments.ended_at),
    }
    notes = {"during": "by the second: " + " ".join(f"{one:.2f}" for one in during)}

    def name(what: str) -> str:
        return f"{what}, {load.name}"

    failed = sum(call.reply.code != "OK" for call in load.calls)
    changed = sum(call.is_changed for call in load.calls)
    calls = f"of {len(load.calls):,}, {load.rate:g} a second"
    found = _find_back(load, moments, moments.ended_at)
    return [
        Finding(name("failed calls"), failed, target=NONE, note=calls),
        Finding(name("changed replies"), changed, target=NONE),
        *(
            Finding(
                name(f"hit ratio {part}"),
                float(np.mean(load.hit_ratios(*times))),
                note=notes.get(part, ""),
            )
            for part, times in parts.items()
        ),
        Finding(name("seconds until it is back"), found or 0, "s"),
        *(
            Finding(name(f"p99 of calls {part}"), load.read_p99(*times), "ms")
            for part, times in parts.items()
        ),
        Finding(
            name("lookups longer than 26 ms"),
            late[0],
            note=f"of {late[1]:,.0f} lookups of replies in Redis",
        ),
    ]
