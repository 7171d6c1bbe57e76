"""Entries in Redis, as bytes: whatever becomes of Redis, a request notices a miss at most."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lstmserve_server.cache.entry_key import EntryKey, Selection
from lstmserve_server.cache.observer import CacheObserver
from lstmserve_server.cache.redis.address import describe, parse_url
from lstmserve_server.cache.redis.finder import Finder
from lstmserve_server.cache.redis.guard import Guard
from lstmserve_server.cache.redis.keys import KeyNames
from lstmserve_server.cache.redis.link import RedisLink
from lstmserve_server.cache.redis.lookup import RedisReader, RemoteLookup
from lstmserve_server.cache.redis.purge import PurgeWatch, purge_entries
from lstmserve_server.cache.redis.writer import RedisWriter
from lstmserve_server.config import CacheConfig, RedisConfig


@dataclass(frozen=True, slots=True)
class RemoteStats:
    """How Redis is, of one server of it in a cluster."""

    is_asked: bool  # False: all of it is left alone for now
    used_memory_bytes: int
    max_memory_bytes: int  # 0: no limit
    max_memory_policy: str


class RedisStore:
    """What the caches know of Redis."""

    def __init__(
        self,
        redis: RedisConfig,
        cache: CacheConfig,
        observer: CacheObserver,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Connects to nothing; ``clock`` is shared by all processes: it times the windows.

        Raises ValueError when the URL cannot be used. Call in a running event loop.
        """
        self._names = KeyNames(redis.prefix)
        self._link = RedisLink(parse_url(redis.url), redis.max_connections)
        self.address = describe(redis.url)  # without credentials
        self._guard = Guard(redis, self.address, self._link, observer)
        self._finder = Finder(self._guard, self._link, self.address, self._names.probe, observer)
        shared = (self._link, self._guard, self._names, observer)
        self._reader = RedisReader(*shared, redis=redis, cache=cache, clock=clock)
        self._writer = RedisWriter(
            *shared, max_queued=redis.max_queued_writes, ttl_seconds=cache.ttl_seconds
        )
        self._writing: asyncio.Task[None] | None = None
        self._probing: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to write and to probe; Redis need not be there."""
        self._writing = asyncio.create_task(self._writer.run())
        self._probing = asyncio.create_task(self._finder.run())

    async def close(self) -> None:
        """Write what waits, for a second at most, and let go of Redis."""
        if self._writing is not None and self._probing is not None:
            await self._writer.close(self._writing)
            self._probing.cancel()
            await asyncio.gather(self._writing, self._probing, return_exceptions=True)
        await self._guard.close()
        await self._link.close()

    async def look_up(self, key: EntryKey, counted: bytes) -> RemoteLookup | None:
        """Return the entry, having counted the request; None when Redis does not answer.

        When another process is making the entry, waits for it within the budget.
        """
        return await self._reader.look_up(key, counted)

    async def find_first(self, keys: Sequence[EntryKey]) -> tuple[int, bytes] | None:
        """Return the first of several entries of one shard that is there, by place and data."""
        return await self._reader.find_first(keys)

    def put(self, key: EntryKey, data: bytes) -> None:
        """Write an entry soon; dropped when too many writes wait or Redis is left alone."""
        self._writer.put(key, data)

    def discard(self, key: EntryKey) -> None:
        """Delete an entry soon."""
        self._writer.discard(key)

    async def purge(self, selection: Selection) -> int:
        """Delete what is selected, here and in every process that watches; return how many.

        The number is that in Redis. Raises CacheUnavailableError.
        """
        self._writer.forget(selection)
        return await purge_entries(self._link.address, self._names, selection)

    async def watch_purges(self, on_purge: Callable[[Selection], None]) -> None:
        """Tell of every purge, our own included, until canceled; at first of all that are kept."""

        def hear(selection: Selection) -> None:
            self._writer.forget(selection)
            on_purge(selection)

        await PurgeWatch(self._link, self._names, hear).run()

    async def stats(self) -> RemoteStats | None:
        """Return how Redis is; None when it does not answer."""
        memory: dict[str, Any] | None = await self._guard.ask("INFO", "memory")
        if memory is None:  # of a cluster, another node is asked now
            memory = await self._guard.ask("INFO", "memory")
        if memory is None:
            return None
        return RemoteStats(
            is_asked=not self._guard.breakers.are_open,
            used_memory_bytes=memory.get("used_memory", 0),
            max_memory_bytes=memory.get("maxmemory", 0),
            max_memory_policy=memory.get("maxmemory_policy", ""),
        )
