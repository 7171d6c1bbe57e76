"""Lookups, counts, leases and writes before a real Redis that is well."""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from dataclasses import replace

import pytest

from benchmarks.testbed.redis import RedisProcess
from benchmarks.testbed.waiting import until_so
from lstmserve_server.cache.entry_key import Kind, Selection
from lstmserve_server.cache.observer import Lookup, Problem
from lstmserve_server.cache.redis import lookup
from lstmserve_server.cache.redis.lookup import RemoteLookup
from lstmserve_server.cache.redis.store import RedisStore
from lstmserve_server.cache.redis.writer import MAX_QUEUED_BYTES
from lstmserve_server.cache.sketch import Sketch
from lstmserve_server.config import CacheConfig
from support.cache_events import CacheEvents
from support.redis_stores import COUNTED, OWNER, PATIENT, make_key, open_store, store_entry

KEY = make_key()
NEVER = CacheConfig(threshold=1000)  # leases nothing


async def test_finds_what_was_put(store: RedisStore, events: CacheEvents) -> None:
    assert await store.look_up(KEY, COUNTED) == RemoteLookup(None, 1, is_leased_elsewhere=False)
    await store_entry(store, events, KEY, b"\x00reply\r\n\xff")
    assert await store.look_up(KEY, COUNTED) == RemoteLookup(
        b"\x00reply\r\n\xff", 2, is_leased_elsewhere=False
    )
    assert await store.look_up(make_key("other"), b"other..." * 4) is not None
    assert events.count_lookups(Lookup.HIT) == 1
    assert events.count_lookups(Lookup.MISS) == 2


async def test_finds_the_first_of_several(store: RedisStore, events: CacheEvents) -> None:
    keys = [make_key(name, kind=Kind.STATE) for name in ("long", "middle", "short")]
    assert await store.find_first([]) is None
    assert await store.find_first(keys) is None
    await store_entry(store, events, keys[2], b"short")
    await store_entry(store, events, keys[1], b"middle")
    assert await store.find_first(keys) == (1, b"middle")
    assert events.count_lookups(Lookup.HIT, Kind.STATE) == 1
    assert events.count_lookups(Lookup.MISS, Kind.STATE) == 1


async def test_entries_leave_when_their_time_is_over(
    redis_server: RedisProcess, events: CacheEvents
) -> None:
    cache = replace(NEVER, ttl_seconds=1000)
    async with open_store(redis_server.url, events, cache=cache) as store:
        await store_entry(store, events, KEY, b"reply")
    (name,) = redis_server.client.keys("test:1:reply:*")
    assert name.startswith(b"test:1:reply:tiny/1@abababababababab:-:{7f}:")
    assert 990_000 < redis_server.client.pttl(name) <= 1_000_000


async def test_discards_an_entry(store: RedisStore, events: CacheEvents) -> None:
    other = make_key("other")
    await store_entry(store, events, KEY, b"unreadable")
    store.discard(KEY)
    await store_entry(store, events, other, b"written after it")
    found = await store.look_up(KEY, COUNTED)
    assert found is not None
    assert found.data is None


async def test_counts_over_two_windows(redis_server: RedisProcess, events: CacheEvents) -> None:
    now = 1_000_000.0
    async with open_store(redis_server.url, events, cache=NEVER, clock=lambda: now) as store:

        async def count() -> int:
            found = await store.look_up(KEY, COUNTED)
            assert found is not None
            return found.count

        assert [await count() for _ in range(3)] == [1, 2, 3]
        now += NEVER.window_seconds
        assert [await count() for _ in range(2)] == [4, 5]
        now += NEVER.window_seconds
        assert await count() == 3  # the first three are forgotten
        now += 2 * NEVER.window_seconds
        assert await count() == 1
    lives = [redis_server.client.pttl(name) for name in redis_server.client.keys("*:asked2:*")]
    assert lives
    assert all(0 < life <= 2000 * NEVER.window_seconds for life in lives)


async def test_a_process_whose_clock_is_wrong_counts_with_the_others(
    redis_server: RedisProcess, events: CacheEvents
) -> None:
    ahead = 1e6 + 100 * NEVER.window_seconds
    async with (
        open_store(redis_server.url, events, cache=NEVER, clock=lambda: 1e6) as store,
        open_store(redis_server.url, events, cache=NEVER, clock=lambda: ahead) as wrong,
    ):
        for count in range(1, 7):
            found = await (wrong, store)[count % 2].look_up(KEY, COUNTED)
            # the first time that it asks, everything else is long ago
            assert found == RemoteLookup(None, max(1, count - 1), is_leased_elsewhere=False)


@pytest.mark.parametrize("seed", range(3))
async def test_all_processes_together_count_as_one_does_alone(
    redis_server: RedisProcess, events: CacheEvents, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Popular and rare things, pauses, and sketches that are full after 19 different things."""
    monkeypatch.setattr(lookup, "COLUMNS", 64)
    rng, now = random.Random(seed), 1e6
    alone = Sketch(NEVER.window_seconds, lambda: now, columns=64)
    async with (
        open_store(redis_server.url, events, cache=NEVER, clock=lambda: now) as store,
        open_store(redis_server.url, events, cache=NEVER, clock=lambda: now) as other,
    ):
        for _ in range(500):
            asked = min(rng.randrange(100), rng.randrange(100))
            digest = hashlib.blake2b(bytes([asked])).digest()
            alone.add(digest)
            found = await rng.choice((store, other)).look_up(KEY, digest)
            assert found is not None
            assert found.count == alone.count(digest)
            if rng.random() < 0.05:
                now += rng.choice((0.1, 0.5, 1, 2)) * NEVER.window_seconds


async def test_counts_by_what_is_counted_and_by_shard(
    redis_server: RedisProcess, events: CacheEvents
) -> None:
    """Two variants of one request are two entries, and count as one."""
    async with open_store(redis_server.url, events, cache=NEVER) as store:
        keys = [KEY, make_key("variant"), replace(KEY, shard="80")]
        found = [await store.look_up(key, COUNTED) for key in keys]
        assert [item.count for item in found if item is not None] == [1, 2, 1]


async def test_counting_stops_at_the_top(redis_server: RedisProcess, events: CacheEvents) -> None:
    async with open_store(redis_server.url, events, cache=NEVER) as store:
        found = [await store.look_up(KEY, COUNTED) for _ in range(300)]
    assert max(item.count for item in found if item is not None) == 255
    assert found[-1] == RemoteLookup(None, 255, is_leased_elsewhere=False)


async def test_nothing_is_counted_too_low(redis_server: RedisProcess, events: CacheEvents) -> None:
    """However many other requests share its counters."""
    digests = [hashlib.blake2b(str(number).encode()).digest() for number in range(400)]
    async with open_store(redis_server.url, events, cache=NEVER) as store:
        for times in (1, 2, 3):
            found = [await store.look_up(KEY, digest) for digest in digests]
            counts = [item.count for item in found if item is not None]
            assert min(counts) >= times
            assert sum(count > times for count in counts) < 40  # and few too high


async def test_one_process_takes_the_lease_at_the_threshold(
    redis_server: RedisProcess, events: CacheEvents
) -> None:
    redis = replace(PATIENT, budget_ms=200)  # is waited for
    async with (
        open_store(redis_server.url, events, redis) as ours,
        open_store(redis_server.url, events, redis) as theirs,
    ):
        below = await theirs.look_up(KEY, COUNTED)
        assert below == RemoteLookup(None, 1, is_leased_elsewhere=False)
        assert await ours.look_up(KEY, COUNTED) == RemoteLookup(None, 2, is_leased_elsewhere=False)
        assert await theirs.look_up(KEY, COUNTED) == RemoteLookup(None, 3, is_leased_elsewhere=True)
        # whoever has the lease does not wait for itself
        assert await ours.look_up(KEY, COUNTED) == RemoteLookup(None, 4, is_leased_elsewhere=False)
    assert events.breaker == []


async def test_waits_for_the_entry_that_another_process_makes(
    redis_server: RedisProcess, events: CacheEvents
) -> None:
    cache = CacheConfig(threshold=1)
    redis = replace(PATIENT, budget_ms=2000)
    redis_server.client.config_resetstat()
    async with (
        open_store(redis_server.url, events, redis, cache=cache) as ours,
        open_store(redis_server.url, events, redis, cache=cache) as theirs,
    ):
        await ours.look_up(KEY, COUNTED)
        waiting = asyncio.create_task(theirs.look_up(KEY, COUNTED))
        await until_so(lambda: redis_server.count_calls() == 2, "two scripts are counted")
        await store_entry(ours, events, KEY, b"reply")
        assert await waiting == RemoteLookup(b"reply", 2, is_leased_elsewhere=True)
        assert redis_server.client.keys("*:lease:*") == []


async def test_a_bounded_number_of_writes_wait(
    redis_server: RedisProcess, events: CacheEvents
) -> None:
    redis = replace(PATIENT, max_queued_writes=2)
    async with open_store(redis_server.url, events, redis) as store:
        for name in "abcd":
            store.put(make_key(name), name.encode())  # nothing is awaited: all must wait
        assert events.problems == {Problem.DROPPED: 2}
        await events.wait_for(lambda: events.stored[Kind.REPLY] == 2)


async def test_a_bounded_number_of_bytes_waits(
    redis_server: RedisProcess, events: CacheEvents
) -> None:
    """However few writes they are; and what fits is written, in several goes."""
    data = bytes(700_000)
    async with open_store(redis_server.url, events) as store:
        for number in range(40):
            store.put(make_key(str(number)), data)  # nothing is awaited: all must wait
        room = MAX_QUEUED_BYTES // len(data)
        assert events.problems == {Problem.DROPPED: 40 - room}
        await events.wait_for(lambda: events.stored[Kind.REPLY] == room)
        store.put(make_key("later"), data)
        await events.wait_for(lambda: events.stored[Kind.REPLY] == room + 1)
        store.put(make_key("purged"), data)
        await store.purge(Selection())
        for number in range(room):  # nothing waits any more
            store.put(make_key(str(number)), data)
        await events.wait_for(lambda: events.stored[Kind.REPLY] == 2 * room + 1)
    assert events.problems == {Problem.DROPPED: 40 - room}


async def test_close_writes_what_waits(redis_server: RedisProcess, events: CacheEvents) -> None:
    async with open_store(redis_server.url, events) as store:
        for number in range(200):
            store.put(make_key(str(number)), b"reply")
    assert len(redis_server.client.keys("test:1:reply:*")) == 200
    assert events.stored[Kind.REPLY] == 200
    assert not events.problems


async def test_a_closed_store_takes_nothing(
    redis_server: RedisProcess, events: CacheEvents
) -> None:
    async with open_store(redis_server.url, events) as store:
        pass
    store.put(KEY, b"reply")
    assert events.problems == {Problem.DROPPED: 1}


async def test_a_full_redis_still_answers(redis_server: RedisProcess, events: CacheEvents) -> None:
    cache = CacheConfig(threshold=1)
    async with open_store(redis_server.url, events, cache=cache) as store:
        await store_entry(store, events, KEY, b"reply")
        redis_server.client.config_set("maxmemory-policy", "noeviction")
        redis_server.client.config_set("maxmemory", 1)
        found = await store.look_up(KEY, COUNTED)
        assert found == RemoteLookup(b"reply", 1, is_leased_elsewhere=False)
        missing = await store.look_up(make_key("missing"), COUNTED)
        assert missing == RemoteLookup(None, 1, is_leased_elsewhere=False)
        assert events.problems == {Problem.OOM: 2}
        store.put(make_key("new"), b"reply")
        await events.wait_for(lambda: events.problems[Problem.OOM] == 3)
        assert events.stored[Kind.REPLY] == 1
    assert events.breaker == []


async def test_owners_and_kinds_do_not_share_entries(
    store: RedisStore, events: CacheEvents
) -> None:
    others = [
        replace(KEY, owner=replace(OWNER, version="2")),
        replace(KEY, owner=replace(OWNER, digest="cd" * 32)),
        replace(KEY, owner=replace(OWNER, scope="somebody")),
        replace(KEY, kind=Kind.STATE),
        replace(KEY, shard="80"),
    ]
    await store_entry(store, events, KEY, b"reply")
    assert [await store.find_first([other]) for other in others] == [None] * len(others)


async def test_tells_how_redis_is(redis_server: RedisProcess, store: RedisStore) -> None:
    redis_server.client.config_set("maxmemory", 1 << 30)
    redis_server.client.config_set("maxmemory-policy", "allkeys-lfu")
    stats = await store.stats()
    assert stats is not None
    assert stats.is_asked
    assert stats.used_memory_bytes > 100_000
    assert (stats.max_memory_bytes, stats.max_memory_policy) == (1 << 30, "allkeys-lfu")


async def test_an_event_loop_that_is_busy_is_no_slow_redis(
    redis_server: RedisProcess, events: CacheEvents
) -> None:
    budget = replace(PATIENT, budget_ms=200)
    async with open_store(redis_server.url, events, budget) as store:
        await store_entry(store, events, make_key(), b"data")
        for _ in range(3):
            lookup = asyncio.create_task(store.look_up(make_key(), COUNTED))
            await asyncio.sleep(0)  # it begins
            occupy(2 * budget.budget_seconds)
            found = await lookup
            assert found is not None
            assert found.data == b"data"
        assert not events.problems


def occupy(seconds: float) -> None:
    """Keep the event loop from everything else."""
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        pass
