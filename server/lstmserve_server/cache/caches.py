"""All that is kept, put together: who answers requests, and what administrators may do."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from lstmserve_server.cache.answer import Answer
from lstmserve_server.cache.ask import Ask
from lstmserve_server.cache.entry_key import Kind, Selection
from lstmserve_server.cache.memory_store import MemoryStore
from lstmserve_server.cache.observer import CacheObserver, StoreName
from lstmserve_server.cache.origin import Origin
from lstmserve_server.cache.outcome import CacheMode
from lstmserve_server.cache.redis.store import RedisStore
from lstmserve_server.cache.reply_cache import ReplyCache, Warmed, answer_alone
from lstmserve_server.cache.reply_shelf import REPLIES, ReplyShelf
from lstmserve_server.cache.sharing import Sharing
from lstmserve_server.cache.shelf import Shelf
from lstmserve_server.cache.sketch import Sketch
from lstmserve_server.cache.state_cache import STATES, StateCache
from lstmserve_server.config import CacheConfig
from lstmserve_server.errors import NotCachedError, NotServedError


@dataclass(frozen=True, slots=True)
class Purged:
    """How many entries are gone."""

    near: int  # from this process
    far: int  # from Redis


class Caches:
    """The caches of one process, and the Redis that they share with others."""

    def __init__(self, config: CacheConfig, message_tokens: int, observer: CacheObserver) -> None:
        """``message_tokens``: of a replayed stream, but for its first message. Call on the
        running event loop.
        """
        self._config = config
        self.memory = {
            kind: MemoryStore(kind, size, config.ttl_seconds, observer)
            for kind, size in ((Kind.REPLY, config.reply_bytes), (Kind.STATE, config.state_bytes))
            if size
        }
        self.redis = RedisStore(config.redis, config, observer) if config.redis else None
        self._watching: asyncio.Task[None] | None = None
        self._replies = Shelf(REPLIES, self.memory.get(Kind.REPLY), self.redis, observer)
        self._states = Shelf(STATES, self.memory.get(Kind.STATE), self.redis, observer)
        sketch = Sketch(config.window_seconds, time.monotonic)
        shelf = ReplyShelf(self._replies, sketch, config.threshold, observer)
        states = StateCache(self._states, config.state_stride_tokens)
        origin = Origin(shelf, states, message_tokens)
        sharing = Sharing(origin, shelf, observer)
        self._cache = ReplyCache(shelf, origin, sharing, config.variants)

    @property
    def stores(self) -> list[tuple[Kind, StoreName]]:
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

    def answer(self, ask: Ask) -> Answer:
        """The reply to one request, from wherever it comes."""
        if self._config.is_on and ask.is_exact:
            return self._cache.answer(ask)
        if ask.mode is CacheMode.ONLY_IF_CACHED:
            who = "this server" if ask.is_exact else "a version that is served inexact"
            raise NotCachedError(f"{who} keeps no replies; leave cache_mode out")
        return answer_alone(ask)

    async def warm(self, ask: Ask) -> Warmed:
        """Keep all replies that a request may get; raises NotServedError when none are kept."""
        if not self._config.is_on:
            raise NotServedError("this server keeps no replies; start it with a cache")
        return await self._cache.warm(ask)

    async def purge(self, selection: Selection) -> Purged:
        """Drop entries here, in Redis, and in whatever process shares it.

        Raises CacheUnavailableError when Redis does not answer; what is here is gone then.
        """
        near = self._purge_near(selection)
        far = await self.redis.purge(selection) if self.redis is not None else 0
        return Purged(near, far)

    def _hear_purge(self, selection: Selection) -> None:
        self._purge_near(selection)

    def _purge_near(self, selection: Selection) -> int:
        return self._replies.purge_near(selection) + self._states.purge_near(selection)
