"""Where entries are kept: in this process first, and behind it in the Redis shared with others.

Entries never change, so the copy here needs no word from Redis but of a purge. What does not
open is a miss, is counted, and is deleted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from lstmserve_server.cache.entry_key import (
    CorruptEntryError,
    EntryKey,
    Kind,
    Selection,
    seal,
    unseal,
)
from lstmserve_server.cache.memory_store import MemoryStore
from lstmserve_server.cache.observer import CacheObserver, Problem, StoreName
from lstmserve_server.cache.redis.store import RedisStore
from lstmserve_server.config import CacheConfig

Entry = TypeVar("Entry")


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


@dataclass(frozen=True, slots=True)
class Codec(Generic[Entry]):
    """Entries to bytes and back; ``decode`` raises CorruptEntryError."""

    encode: Callable[[Entry], bytes]
    decode: Callable[[bytes], Entry]


@dataclass(frozen=True, slots=True)
class Counted(Generic[Entry]):
    """What Redis knows of an entry."""

    entry: Entry | None
    count: int = 0  # how often all servers were asked for it lately
    is_answered: bool = True  # by Redis, or there is none to answer


class Tiers(Generic[Entry]):
    """The stores of one kind of entry as one; either may be missing."""

    def __init__(
        self,
        codec: Codec[Entry],
        memory: MemoryStore | None,
        redis: RedisStore | None,
        observer: CacheObserver,
    ) -> None:
        self._codec = codec
        self._memory = memory
        self._redis = redis
        self._observer = observer

    def find_near(self, key: EntryKey) -> Entry | None:
        """Return an entry, if it is in this process."""
        data = None if self._memory is None else self._memory.get(key)
        return None if data is None else self._open(key, data)

    def peek_near(self, key: EntryKey) -> bytes | None:
        """Return the bytes of an entry, if it is in this process; that is no lookup."""
        return None if self._memory is None else self._memory.peek(key)

    def find_again(self, key: EntryKey, data: bytes) -> bool:
        """Return whether an entry in this process still is this one; if not, it is no lookup."""
        return self._memory is not None and self._memory.find_again(key, data)

    async def find_far(self, key: EntryKey, counted: bytes) -> Counted[Entry]:
        """Return an entry, if Redis has it, which counts the request; then it is near, too."""
        if self._redis is None:
            return Counted(None)
        found = await self._redis.look_up(key, counted)
        if found is None:
            return Counted(None, is_answered=False)
        entry = None if found.data is None else self._take(key, found.data)
        return Counted(entry, found.count)

    def find_first_near(self, keys: Sequence[EntryKey]) -> tuple[int, Entry] | None:
        """Return the first of several entries that is in this process, and its place among them."""
        found = None if self._memory is None or not keys else self._memory.find_first(keys)
        return None if found is None else _placed(found[0], self._open(keys[found[0]], found[1]))

    async def find_first_far(self, keys: Sequence[EntryKey]) -> tuple[int, Entry] | None:
        """Return the first of several entries that is in Redis, and its place; then it is near."""
        found = None if self._redis is None or not keys else await self._redis.find_first(keys)
        return None if found is None else _placed(found[0], self._take(keys[found[0]], found[1]))

    async def is_kept(self, key: EntryKey) -> bool:
        """Return whether an entry is wherever entries are kept; what is only near goes to Redis."""
        near = self.find_near(key)
        if self._redis is None:
            return near is not None
        far = await self._redis.find_first([key])
        if far is not None and self._open(key, far[1]) is not None:
            return True
        if near is not None:
            self.keep(key, near)
        return near is not None

    def keep(self, key: EntryKey, entry: Entry) -> None:
        """Keep an entry in both; takes no time that anybody waits for."""
        data = seal(key, self._codec.encode(entry))
        self._put_near(key, data)
        if self._redis is not None:
            self._redis.put(key, data)

    def _take(self, key: EntryKey, data: bytes) -> Entry | None:
        """Open what came from Redis, and keep it near."""
        entry = self._open(key, data)
        if entry is not None:
            self._put_near(key, data)
        return entry

    def _open(self, key: EntryKey, data: bytes) -> Entry | None:
        try:
            return self._codec.decode(unseal(key, data))
        except CorruptEntryError:
            self._observer.on_problem(key.kind, Problem.CORRUPT)
            if self._redis is not None:
                self._redis.discard(key)
            return None

    def _put_near(self, key: EntryKey, data: bytes) -> None:
        if self._memory is not None:
            self._memory.put(key, data)


def _placed(place: int, entry: Entry | None) -> tuple[int, Entry] | None:
    return None if entry is None else (place, entry)
