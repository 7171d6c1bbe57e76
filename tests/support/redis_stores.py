"""Stores before a real Redis, and keys to ask them for."""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from lstmserve_server.cache.entry_key import EntryKey, Kind, Owner
from lstmserve_server.cache.redis.store import RedisStore
from lstmserve_server.config import CacheConfig, RedisConfig
from support.cache_events import CacheEvents

# far more than a lookup takes, so that a busy machine fails no test
PATIENT = RedisConfig(url="", prefix="test", budget_ms=5000, breaker_seconds=0.02)
# what is used up in tests, as Redis does not answer there
HASTY = replace(PATIENT, budget_ms=100, breaker_failures=3)
OWNER = Owner("tiny", "1", "ab" * 32)
COUNTED = hashlib.blake2b(b"some request").digest()


def make_key(name: str = "entry", owner: Owner = OWNER, kind: Kind = Kind.REPLY) -> EntryKey:
    return EntryKey(kind, owner, "7f", hashlib.blake2b(f"{name} {owner}".encode()).digest())


@asynccontextmanager
async def open_store(
    url: str,
    events: CacheEvents,
    redis: RedisConfig = PATIENT,
    *,
    cache: CacheConfig = CacheConfig(),  # noqa: B008 - frozen
    clock: Callable[[], float] = time.time,
) -> AsyncIterator[RedisStore]:
    """A store that has started."""
    store = RedisStore(replace(redis, url=url), cache, events, clock)
    store.start()
    try:
        yield store
    finally:
        await store.close()


async def store_entry(store: RedisStore, events: CacheEvents, key: EntryKey, data: bytes) -> None:
    """Put an entry and wait until it is there."""
    num_stored = events.stored[key.kind]
    store.put(key, data)
    await events.wait_for(lambda: events.stored[key.kind] > num_stored)
