"""Redis answers nothing for a while: what requests notice of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle

import numpy as np

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
from benchmarks.load.dialect import UNARY
from benchmarks.load.findings import Finding, Target
from benchmarks.load.usage import scrape
from benchmarks.load.workload import CacheMode
from benchmarks.testbed.redis import RedisProcess
from benchmarks.testbed.server import RunningServer

TOKENS = 8
KNOWN_REQUESTS = 50
BACKGROUND_CALLERS = 8
BEFORE_P99 = Target(25.0)
AFTER_P50 = Target(0.1)
NONE = Target(0)


@dataclass
class _Observed:
    """Seconds that a request took longer than where there is no Redis, and what went wrong."""

    healthy: list[float] = field(default_factory=list)
    healthy_together: list[float] = field(default_factory=list)
    # until the breaker opens: those that came together, and those that came one by one
    together: list[float] = field(default_factory=list)
    one_by_one: list[float] = field(default_factory=list)
    after: list[float] = field(default_factory=list)
    closing: list[float] = field(default_factory=list)  # from SIGCONT on
    answered: int = 0
    failed: int = 0
    changed: int = 0

    def compare(self, reply: Reply, wanted: Reply) -> None:
        """Count a reply, which must be the one that the other server gave."""
        self.answered += 1
        if reply.code != "OK" or wanted.code != "OK":
            self.failed += 1
        elif reply.content != wanted.content:
            self.changed += 1


async def measure_outage(stage: Stage, sizes: Sizes) -> list[Finding]:
    observed = _Observed()
    async with connect(stage.over_tcp) as caller, connect(stage.near) as plain:
        outage = _Outage(caller, plain, stage.over_tcp, stage.redis, observed)
        await outage.prepare()
        for _ in range(sizes.freezes):
            await outage.freeze_before_burst(sizes.frozen_burst, sizes.frozen_pairs)
            await outage.freeze_before_one_by_one()
            await outage.freeze_under_load()
    return _describe(observed)


class _Outage:
    """Asks a server with Redis, and one without it for comparison."""

    def __init__(
        self,
        caller: Caller,
        plain: Caller,
        server: RunningServer,
        redis: RedisProcess,
        observed: _Observed,
    ) -> None:
        self._caller = caller
        self._plain = plain
        self._server = server
        self._redis = redis
        self._observed = observed
        self._known: list[tuple[bytes, Reply]] = []

    async def prepare(self) -> None:
        """Replies to compare with, made without any cache."""
        for _ in range(KNOWN_REQUESTS):
            prompt = make_fresh_prompt()
            bypassing = encode(prompt, TOKENS, CacheMode.BYPASS)
            self._known.append((encode(prompt, TOKENS), await self._plain.call(UNARY, bypassing)))

    async def freeze_before_burst(self, burst: int, pairs: int) -> None:
        """Requests that come together wait for Redis, those that follow do not."""
        self._observed.healthy += await self._compare_pairs(pairs)
        self._observed.healthy_together += await self._compare_burst(burst)
        async with self._frozen():
            self._observed.together += await self._compare_burst(burst)
            await self._wait_for_breaker(is_open=True)
            self._observed.after += await self._compare_pairs(pairs)

    async def freeze_before_one_by_one(self) -> None:
        """Each request is the only one, until enough of them have waited for Redis."""
        async with self._frozen():
            while not await asyncio.to_thread(self._is_open):
                self._observed.one_by_one += await self._compare_pairs(1)

    async def freeze_under_load(self) -> None:
        """Redis stops and goes on while requests run: none may notice more than a delay."""
        async with self._load(), self._frozen():
            await self._wait_for_breaker(is_open=True)

    @asynccontextmanager
    async def _frozen(self) -> AsyncIterator[None]:
        """Redis answers nothing; afterwards it does, and is asked again."""
        self._redis.freeze()
        try:
            yield
        finally:
            self._redis.thaw()
        self._observed.closing.append(await self._wait_for_breaker(is_open=False))

    async def _compare_burst(self, burst: int) -> list[float]:
        """Differences of requests that come together, to one server after the other."""
        fresh = [encode(make_fresh_prompt(), TOKENS) for _ in range(burst)]
        wanted = await asyncio.gather(*(self._plain.try_call(UNARY, one) for one in fresh))
        replies = await asyncio.gather(*(self._caller.try_call(UNARY, one) for one in fresh))
        for reply, plain in zip(replies, wanted, strict=True):
            self._observed.compare(reply, plain)
        return [one.seconds - plain.seconds for one, plain in zip(replies, wanted, strict=True)]

    async def _compare_pairs(self, pairs: int) -> list[float]:
        """Differences; who is asked first alternates."""
        differences = []
        for number in range(pairs):
            request = encode(make_fresh_prompt(), TOKENS)
            order = (self._caller, self._plain) if number % 2 else (self._plain, self._caller)
            replies = {one: await one.try_call(UNARY, request) for one in order}
            reply, plain = replies[self._caller], replies[self._plain]
            self._observed.compare(reply, plain)
            differences.append(reply.seconds - plain.seconds)
        return differences

    @asynccontextmanager
    async def _load(self) -> AsyncIterator[None]:
        callers = [asyncio.create_task(self._ask_for_ever()) for _ in range(BACKGROUND_CALLERS)]
        try:
            yield
        finally:
            for one in callers:
                one.cancel()
            await asyncio.gather(*callers, return_exceptions=True)

    async def _ask_for_ever(self) -> None:
        for request, wanted in cycle(self._known):
            self._observed.compare(await self._caller.try_call(UNARY, request), wanted)

    async def _wait_for_breaker(self, *, is_open: bool) -> float:
        """How long that takes."""
        what = f"the breaker is {'open' if is_open else 'closed'}"
        return await wait_until(lambda: self._is_open() == is_open, what)

    def _is_open(self) -> bool:
        return scrape(self._server).total("cache_breaker_open") > 0


def _describe(observed: _Observed) -> list[Finding]:
    def added(name: str, seconds: list[float], p50: Target | None, p99: Target | None) -> None:
        note = f"added, beside a server without Redis; {len(seconds):,} pairs"
        values = np.percentile(np.array(seconds) * 1e3, (50, 99))
        for what, value, target in zip(("p50", "p99"), values, (p50, p99), strict=True):
            findings.append(Finding(f"{name}, {what}", float(value), "ms", target, note))

    findings: list[Finding] = []
    added("Redis well, no hit", observed.healthy, None, None)
    added("Redis well, a burst", observed.healthy_together, None, None)
    added("frozen, a burst before the breaker opens", observed.together, None, BEFORE_P99)
    added("frozen, one by one before it opens", observed.one_by_one, None, BEFORE_P99)
    added("frozen, breaker open", observed.after, AFTER_P50, None)
    closing = np.percentile(observed.closing, (50, 100))
    note = f"{len(observed.closing)} outages; probes come 1, 2, 4 ... s after another"
    findings.append(Finding("breaker closes after SIGCONT, p50", float(closing[0]), "s", note=note))
    findings.append(Finding("breaker closes after SIGCONT, most", float(closing[1]), "s"))
    note = f"of {observed.answered:,}, also under load at the freeze and after it"
    findings.append(Finding("failed RPCs", observed.failed, target=NONE, note=note))
    findings.append(Finding("changed replies", observed.changed, target=NONE, note=note))
    return findings
