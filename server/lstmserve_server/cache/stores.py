"""Where entries are kept, put together: this process's memory, and the Redis shared with others."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from lstmserve_server.cache.entry_key import Kind, Selection
from lstmserve_server.cache.memory_store import MemoryStore
from lstmserve_server.cache.observer import CacheObserver, StoreName
from lstmserve_server.cache.redis.store import RedisStore
from lstmserve_server.config import CacheConfig


@dataclass(frozen=True, slots=True)
class Purged:
    """How many entries are gone."""

    near: int  # from this process
    far: int  # from Redis


class CacheStores:
    """The stores of one process, each of which may be missing; made on the running event loop."""

    def __init__(self, config: CacheConfig, observer: CacheObserver) -> None:
        self.memory = {
            kind: MemoryStore(kind, size, config.ttl_seconds, observer)
            for kind, size in ((Kind.REPLY, config.reply_bytes), (Kind.STATE, config.state_bytes))
            if size
        }
        self.redis = RedisStore(config.redis, config, observer) if config.redis else None
        self._watching: asyncio.Task[None] | None = None

    @property
    def names(self) -> list[tuple[Kind, StoreName]]:
        """What is kept where."""
        near = [(kind, StoreName.MEMORY) for kind in self.memory]
        far = [(kind, StoreName.REDIS) for kind in Kind] if self.redis is not None else []
        return near + far

    def start(self) -> None:
        """Begin to write to Redis, which need not be there yet."""
        if self.redis is not None:
            self.redis.start()
            self._watching = asyncio.create_task(self.redis.watch_purges(self._hear_purge))

    async def close(self) -> None:
        """Write what waits to be written, within reason, and let go of Redis."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait({self._watching})
        if self.redis is not None:
            await self.redis.close()

    async def purge(self, selection: Selection) -> Purged:
        """Drop entries here, in Redis, and in every process that shares it.

        Raises CacheUnavailableError when Redis does not answer; what is here is gone then.
        """
        near = self._purge_near(selection)
        far = await self.redis.purge(selection) if self.redis is not None else 0
        return Purged(near, far)

    def _hear_purge(self, selection: Selection) -> None:
        self._purge_near(selection)

    def _purge_near(self, selection: Selection) -> int:
        return sum(store.purge(selection) for store in self.memory.values())
