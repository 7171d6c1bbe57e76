"""Prompts of unequal popularity: how many requests the cache answers, of how many it could."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import perf_counter

from benchmarks.cache.caller import Caller, connect, encode, make_prompts
from benchmarks.cache.sizes import PopularityRun, Sizes
from benchmarks.cache.stage import Stage
from benchmarks.load.dialect import UNARY
from benchmarks.load.findings import Finding
from benchmarks.load.prompts import draw_ranks
from benchmarks.load.usage import scrape
from benchmarks.load.workload import CacheMode
from benchmarks.testbed.server import RunningServer

EXPONENT = 1.0
CALLERS = 64
TOKENS = 16
SEED = 0
DEFAULT_THRESHOLD = 2
BYPASSING_SHARE = 4  # one of so many requests is also asked without the cache


@dataclass(frozen=True)
class _Load:
    """The same requests for every server."""

    asked: Sequence[int]
    requests: Sequence[bytes]  # by rank
    bypassing: Sequence[bytes]

    @classmethod
    def draw(cls, sizes: Sizes) -> _Load:
        prompts = make_prompts(sizes.prompts, SEED)
        return cls(
            draw_ranks(sizes.prompts, EXPONENT, sizes.popularity_requests, SEED),
            [encode(prompt, TOKENS) for prompt in prompts],
            [encode(prompt, TOKENS, CacheMode.BYPASS) for prompt in prompts],
        )


@dataclass(frozen=True)
class _Outcome:
    """What came of all requests to one server."""

    seconds: float
    outcomes: Counter[str]
    entry_bytes: float  # each takes, on average; 0 where none is kept

    @property
    def hit_ratio(self) -> float:
        return self.outcomes["hit"] / self.outcomes.total()

    @property
    def tokens_per_second(self) -> float:
        return self.outcomes.total() * TOKENS / self.seconds


async def measure_popularity(stage: Stage, sizes: Sizes) -> list[Finding]:
    load = _Load.draw(sizes)
    ideal = ideal_hit_ratio(load.asked, None)
    findings = [
        Finding("hit ratio, ideal of an infinite cache", ideal, note="the share of repeats"),
    ]
    entry_bytes = 0.0
    for run in sizes.popularity_runs:
        arguments = _to_arguments(run, entry_bytes)
        async with _open(stage, arguments) as server:
            # the same server in the same minute: only then do rates compare
            bypassing = await _ask_all(server, load.bypassing, load.asked[::BYPASSING_SHARE])
            outcome = await _ask_all(server, load.requests, load.asked)
        entry_bytes = entry_bytes or outcome.entry_bytes
        findings += _describe(run, outcome, load.asked, entry_bytes, bypassing)
    return findings


def ideal_hit_ratio(asked: Sequence[int], entries: int | None, threshold: int = 1) -> float:
    """Of a cache that holds the most often asked as soon as they have been asked so often.

    ``entries``: how many it holds; None: all. Of everything, and with a threshold of 1, this is
    the share of repeats: no cache answers more.
    """
    counts = Counter(asked).most_common(entries)
    return sum(max(0, count - threshold) for _, count in counts) / len(asked)


def _to_arguments(run: PopularityRun, entry_bytes: float) -> tuple[str, ...]:
    bound = ("--cache-bytes", str(round(run.entries * entry_bytes))) if run.entries else ()
    return ("--cache-threshold", str(run.threshold), *bound)


@asynccontextmanager
async def _open(stage: Stage, arguments: tuple[str, ...]) -> AsyncIterator[RunningServer]:
    """The one that the parts share, where it is of this kind."""
    if arguments == ("--cache-threshold", str(DEFAULT_THRESHOLD)):
        yield stage.near
        return
    with stage.start(*arguments) as server:
        yield server


async def _ask_all(
    server: RunningServer, requests: Sequence[bytes], asked: Sequence[int]
) -> _Outcome:
    before = scrape(server)
    outcomes: Counter[str] = Counter()
    order = iter(asked)  # all callers take theirs from here
    began = perf_counter()
    async with connect(server) as caller, asyncio.TaskGroup() as group:
        for _ in range(CALLERS):
            group.create_task(_ask(caller, requests, order, outcomes))
    seconds = perf_counter() - began
    after = scrape(server)
    entries, size = (
        after.total(name, store="memory") - before.total(name, store="memory")
        for name in ("cache_entries", "cache_bytes")
    )
    return _Outcome(seconds, outcomes, size / entries if entries else 0.0)


async def _ask(
    caller: Caller, requests: Sequence[bytes], order: Iterable[int], outcomes: Counter[str]
) -> None:
    for rank in order:
        outcomes[(await caller.call(UNARY, requests[rank])).outcome] += 1


def _describe(
    run: PopularityRun,
    outcome: _Outcome,
    asked: Sequence[int],
    entry_bytes: float,
    bypassing: _Outcome,
) -> list[Finding]:
    memory = f"{run.entries:,} entries" if run.entries else "everything"
    name = f"memory for {memory}, threshold {run.threshold}"
    ideal = ideal_hit_ratio(asked, run.entries)
    allowed = ideal_hit_ratio(asked, run.entries, run.threshold)
    coalesced = outcome.outcomes["coalesced"] / outcome.outcomes.total()
    bound = f"{run.entries * entry_bytes / 1e6:.2f} MB; " if run.entries else ""
    faster = outcome.tokens_per_second / bypassing.tokens_per_second
    return [
        Finding(
            f"hit ratio, {name}",
            outcome.hit_ratio,
            note=f"{bound}ideal {ideal:.3f}, so {outcome.hit_ratio / ideal:.1%} of it "
            f"({allowed:.3f} with this threshold); {coalesced:.1%} joined others in flight",
        ),
        Finding(
            f"tokens/s, {name}",
            outcome.tokens_per_second,
            "/s",
            note=f"{faster:.2f} times the {bypassing.tokens_per_second:,.0f} without the cache",
        ),
    ]
