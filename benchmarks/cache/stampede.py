"""Many identical requests at once: how often the model is asked, and how long all of them take."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from statistics import median
from time import perf_counter

from benchmarks.cache.caller import (
    Caller,
    Reply,
    connect,
    encode,
    make_fresh_prompt,
    wait_until,
)
from benchmarks.cache.sizes import Sizes
from benchmarks.cache.stage import Stage
from benchmarks.load.dialect import STREAMED, UNARY
from benchmarks.load.findings import Finding, Target
from benchmarks.load.usage import MeasureError, scrape
from benchmarks.testbed.metrics_page import MetricsPage
from benchmarks.testbed.server import RunningServer

TOKENS = 256
CONNECTIONS = 8
ONE_GENERATION = Target(1)
NAMES = {UNARY: "unary", STREAMED: "streamed"}


@dataclass(frozen=True)
class _Round:
    """One stampede."""

    seconds: float
    alone_seconds: float  # of one request such as these
    generations: float
    decoded: float  # rows that the engine decoded, as a multiple of what one reply takes
    outcomes: Counter[str]


async def measure_stampede(stage: Stage, sizes: Sizes) -> list[Finding]:
    findings = []
    async with connect(stage.near, CONNECTIONS) as caller:
        for path in (UNARY, STREAMED):
            rounds = [
                await _run(caller, stage.near, path, sizes.stampede_requests)
                for _ in range(sizes.stampede_rounds)
            ]
            findings += _describe(f"{sizes.stampede_requests:,} {NAMES[path]}", rounds)
    return findings


async def _run(caller: Caller, server: RunningServer, path: str, requests: int) -> _Round:
    before = scrape(server)
    alone = await caller.call(path, encode(make_fresh_prompt(), TOKENS))
    between = await _scrape_settled(server, before, path, 1)
    request = encode(make_fresh_prompt(), TOKENS)
    began = perf_counter()
    replies = await asyncio.gather(*(caller.call(path, request) for _ in range(requests)))
    seconds = perf_counter() - began
    after = await _scrape_settled(server, between, path, requests)
    if len({reply.content for reply in replies}) != 1:
        raise MeasureError("identical requests got different replies")
    return _Round(
        seconds,
        alone.seconds,
        generations=_grown(between, after, "requests_total", cache="miss"),
        decoded=_grown(between, after, "batch_rows_sum")
        / _grown(before, between, "batch_rows_sum"),
        outcomes=_count(replies),
    )


async def _scrape_settled(
    server: RunningServer, before: MetricsPage, path: str, requests: int
) -> MetricsPage:
    """The page once all these are counted: a caller knows of its reply's end before."""
    rpc = path.rpartition("/")[2]
    wanted = before.total("requests_total", rpc=rpc) + requests
    await wait_until(
        lambda: scrape(server).total("requests_total", rpc=rpc) >= wanted, "all are counted"
    )
    return scrape(server)


def _grown(before: MetricsPage, after: MetricsPage, name: str, **labels: str) -> float:
    return after.total(name, **labels) - before.total(name, **labels)


def _count(replies: list[Reply]) -> Counter[str]:
    return Counter(reply.outcome for reply in replies)


def _describe(name: str, rounds: list[_Round]) -> list[Finding]:
    worst = max(rounds, key=lambda one: one.generations)
    decoded = max(one.decoded for one in rounds)
    outcomes = ", ".join(f"{count:,} {outcome}" for outcome, count in worst.outcomes.items())
    alone = median(one.alone_seconds for one in rounds) * 1e3
    whole = median(one.seconds for one in rounds) * 1e3
    return [
        Finding(
            f"{name}: generations, most of {len(rounds)}",
            worst.generations,
            target=ONE_GENERATION,
            note=f"the engine decoded {decoded:.2f} replies; callers were told: {outcomes}",
        ),
        Finding(f"{name}: one alone", alone, "ms", note=f"median; {TOKENS} tokens"),
        Finding(
            f"{name}: until all are answered",
            whole,
            "ms",
            note=f"median; {whole / alone:.1f} times one alone",
        ),
    ]
