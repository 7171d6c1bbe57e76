"""Asking Redis for entries: one round trip, and never longer than the budget."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from redis.exceptions import ResponseError

from lstmserve_server.cache.entry_key import EntryKey, Kind
from lstmserve_server.cache.observer import CacheObserver, Lookup, StoreName
from lstmserve_server.cache.redis.guard import Guard, NoAnswer
from lstmserve_server.cache.redis.keys import KeyNames
from lstmserve_server.cache.redis.link import Command, RedisLink
from lstmserve_server.cache.redis.problems import Asked
from lstmserve_server.cache.redis.scripts import FIND_FIRST, LOOK_UP
from lstmserve_server.cache.sketch import find_capacity, find_places
from lstmserve_server.config import CacheConfig, RedisConfig

# how long a process may take for a reply that others need too, before another one also begins
LEASE_MS = 2000
# of a row of one shard's sketch. All shards together have room for 314,000 different things, in
# 4 MiB of Redis, and as much for the sketches before
COLUMNS = 4096
HEADER_BYTES = 8  # of a sketch, before its counters
# pauses of those who wait for another process's entry: a twentieth of a millisecond of Redis's
# time each, and the last leaves time for its answer
WAITS_PER_BUDGET = 5


@dataclass(frozen=True, slots=True)
class RemoteLookup:
    """What Redis said of an entry."""

    data: bytes | None
    count: int  # requests lately, this one included
    is_leased_elsewhere: bool  # another process is making the entry


class RedisReader:
    """Lookups, told to the observer."""

    def __init__(
        self,
        link: RedisLink,
        guard: Guard,
        names: KeyNames,
        observer: CacheObserver,
        *,
        redis: RedisConfig,
        cache: CacheConfig,
        clock: Callable[[], float],
    ) -> None:
        self._link = link
        self._guard = guard
        self._names = names
        self._observer = observer
        self._budget_seconds = redis.budget_seconds
        self._threshold = cache.threshold
        self._window_seconds = cache.window_seconds
        self._clock = clock
        self._token = secrets.token_bytes(8)  # whose a lease is

    async def look_up(self, key: EntryKey, counted: bytes) -> RemoteLookup | None:
        """Return the entry, having counted the request; None when Redis does not answer."""
        began_at = time.monotonic()
        name = self._names.entry(key)
        found = await self._guard.run(key.kind, Asked.LOOKUP, name, lambda: self._ask(key, counted))
        if not isinstance(found, NoAnswer) and found.is_leased_elsewhere:
            found = replace(found, data=await self._wait_for(key, began_at))
        hit = None if isinstance(found, NoAnswer) else found.data
        self._tell(key.kind, began_at, found, is_hit=hit is not None)
        return None if isinstance(found, NoAnswer) else found

    async def find_first(self, keys: Sequence[EntryKey]) -> tuple[int, bytes] | None:
        """Return the first of several entries of one shard that is there, by place and data."""
        if not keys:
            return None
        began_at = time.monotonic()
        names = [self._names.entry(key) for key in keys]
        kind = keys[0].kind
        found = await self._guard.run(kind, Asked.FIND, names[0], lambda: self._ask_first(names))
        if not isinstance(found, NoAnswer):
            self._guard.grant(Asked.FIND)
        hit = None if isinstance(found, NoAnswer) else found
        self._tell(kind, began_at, found, is_hit=hit is not None)
        return hit

    async def _ask(self, key: EntryKey, counted: bytes) -> RemoteLookup:
        names = [self._names.entry(key), *self._names.sketches(key), self._names.lease(key)]
        arguments: Command = (
            self._threshold,
            LEASE_MS,
            self._token,
            round(1000 * self._clock()),
            round(1000 * self._window_seconds),
            find_capacity(COLUMNS),
            *(HEADER_BYTES + place for place in find_places(counted, COLUMNS)),
        )
        data, count, is_elsewhere, refusal = await self._link.run(LOOK_UP, names, arguments)
        if refusal:
            error = ResponseError(refusal.decode(errors="replace"))
            self._guard.refuse(key.kind, Asked.LOOKUP, error)
        else:
            self._guard.grant(Asked.LOOKUP)
        return RemoteLookup(data, count, bool(is_elsewhere))

    async def _ask_first(self, names: Sequence[str]) -> tuple[int, bytes] | None:
        found = await self._link.run(FIND_FIRST, names)
        return None if found is None else (found[0], found[1])

    async def _wait_for(self, key: EntryKey, began_at: float) -> bytes | None:
        """Return the entry that another process is making, if it comes within the budget."""
        pause = self._budget_seconds / WAITS_PER_BUDGET
        ends_at = began_at + self._budget_seconds
        name = self._names.entry(key)
        while ends_at - time.monotonic() > 2 * pause:
            await asyncio.sleep(pause)
            left = max(0.0, ends_at - time.monotonic())
            data = await self._guard.run(
                key.kind, Asked.LOOKUP, name, lambda: self._link.ask("GET", name), left
            )
            if isinstance(data, NoAnswer):
                return None
            if data is not None:
                return bytes(data)
        return None

    def _tell(self, kind: Kind, began_at: float, answer: object, *, is_hit: bool) -> None:
        found = Lookup.HIT if is_hit else Lookup.MISS
        outcome = answer.value if isinstance(answer, NoAnswer) else found
        seconds = time.monotonic() - began_at
        self._observer.on_lookup(kind, StoreName.REDIS, outcome, seconds)
