"""Two stores as one, whatever the one behind does."""

from __future__ import annotations

from benchmarks.testbed.redis import RedisProcess
from lstmserve_server.cache.entry_key import EntryKey, Kind, Owner, seal
from lstmserve_server.cache.memory_store import MemoryStore
from lstmserve_server.cache.observer import Problem
from lstmserve_server.cache.redis.store import RedisStore
from lstmserve_server.cache.stores import Codec, Tiers
from support.cache_events import CacheEvents
from support.redis_stores import HASTY, open_store, store_entry

PLAIN: Codec[bytes] = Codec(encode=bytes, decode=bytes)
KEY = EntryKey(Kind.REPLY, Owner("tiny", "1", "d" * 64), "00", b"k" * 32)
COUNTED = b"c" * 32


def make_shelf(redis: RedisStore | None, events: CacheEvents) -> Tiers[bytes]:
    return Tiers(PLAIN, MemoryStore(Kind.REPLY, 1 << 20, 3600, events), redis, events)


async def test_what_is_found_in_redis_is_near_from_then_on(
    store: RedisStore, events: CacheEvents
) -> None:
    await store_entry(store, events, KEY, seal(KEY, b"entry"))
    shelf = make_shelf(store, events)
    assert shelf.find_near(KEY) is None
    found = await shelf.find_far(KEY, COUNTED)
    assert (found.entry, found.count, found.is_answered) == (b"entry", 1, True)
    assert shelf.find_near(KEY) == b"entry"


async def test_an_entry_that_does_not_open_is_none_and_is_deleted(
    store: RedisStore, events: CacheEvents, redis_server: RedisProcess
) -> None:
    await store_entry(store, events, KEY, b"garbage")
    shelf = make_shelf(store, events)
    assert not await shelf.is_kept(KEY)
    assert events.problems[Problem.CORRUPT] == 1
    (entry,) = redis_server.client.keys("*:reply:*") or [None]
    while entry is not None and redis_server.client.exists(entry):
        await store.find_first([KEY])  # gives the writer time
    shelf.keep(KEY, b"entry")
    assert await shelf.is_kept(KEY)


async def test_what_is_only_near_goes_to_redis_when_it_is_asked_for_there(
    store: RedisStore, events: CacheEvents
) -> None:
    alone, together = make_shelf(None, events), make_shelf(store, events)
    assert not await alone.is_kept(KEY)
    alone.keep(KEY, b"entry")
    assert await alone.is_kept(KEY)
    assert not await together.is_kept(KEY)
    together.keep(KEY, b"entry")
    await events.wait_for(lambda: events.stored[Kind.REPLY] >= 3)  # two near and one far
    assert await together.is_kept(KEY)


async def test_a_redis_that_does_not_answer_is_told_apart_from_one_that_has_nothing(
    redis_server: RedisProcess, events: CacheEvents
) -> None:
    async with open_store(redis_server.url, events, HASTY) as store:
        shelf = make_shelf(store, events)
        assert (await shelf.find_far(KEY, COUNTED)).is_answered
        redis_server.freeze()
        try:
            found = await shelf.find_far(KEY, COUNTED)
        finally:
            redis_server.thaw()
        assert (found.entry, found.is_answered) == (None, False)
