"""Remembers what the caches tell, and lets tests wait for it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from lstmserve_server.cache.entry_key import Kind
from lstmserve_server.cache.observer import Lookup, Problem, StoreName

WAIT_SECONDS = 20.0


class CacheEvents:
    """A CacheObserver that counts."""

    def __init__(self) -> None:
        self.lookups: Counter[tuple[Kind, StoreName, Lookup]] = Counter()
        self.stored: Counter[Kind] = Counter()
        self.evicted: Counter[tuple[Kind, str]] = Counter()  # by kind and cause
        self.problems: Counter[Problem] = Counter()
        self.breaker: list[bool] = []
        self.num_coalesced = 0
        self._changed = asyncio.Event()

    async def wait_for(self, condition: Callable[[], bool]) -> None:
        """Until something is so; it is looked at after everything that is told."""
        async with asyncio.timeout(WAIT_SECONDS):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def count_lookups(self, outcome: Lookup, kind: Kind = Kind.REPLY) -> int:
        return self.lookups[kind, StoreName.REDIS, outcome]

    def on_lookup(self, kind: Kind, store: StoreName, outcome: Lookup, seconds: float) -> None:
        self.lookups[kind, store, outcome] += 1
        self._changed.set()

    def on_stored(self, kind: Kind, store: StoreName) -> None:
        self.stored[kind] += 1
        self._changed.set()

    def on_evicted(self, kind: Kind, store: StoreName, cause: str) -> None:
        self.evicted[kind, cause] += 1
        self._changed.set()

    def on_problem(self, kind: Kind, problem: Problem) -> None:
        self.problems[problem] += 1
        self._changed.set()

    def on_breaker(self, *, is_open: bool) -> None:
        self.breaker.append(is_open)
        self._changed.set()

    def on_coalesced(self) -> None:
        self.num_coalesced += 1
        self._changed.set()
