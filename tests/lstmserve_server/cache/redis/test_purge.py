"""Purges: what they take with them, and who hears of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.testbed.ports import find_free_port
from benchmarks.testbed.redis import RedisProcess
from lstmserve_server.cache.entry_key import EntryKey, Kind, Owner, Selection
from lstmserve_server.cache.observer import Problem
from lstmserve_server.cache.redis.keys import KeyNames
from lstmserve_server.cache.redis.store import RedisStore
from lstmserve_server.errors import CacheUnavailableError
from lstmserve_server.rpc.status import classify
from support.cache_events import CacheEvents
from support.redis_stores import PATIENT, make_key, open_store, store_entry

HEAR_SECONDS = 30
OWNERS = [
    Owner("tiny", "1", "ab" * 32),
    Owner("tiny", "1", "ab" * 32, "somebody"),
    Owner("tiny", "2", "cd" * 32),
    Owner("tiny/1", "2", "ab" * 32),
    Owner("t*", "1", "ab" * 32, "some*"),
    Owner("tiny", "1", "ab" * 32, "", ("shop", "spring")),
    Owner("tiny", "1", "ab" * 32, "somebody", ("sp*", "spring")),
]


@asynccontextmanager
async def watch(store: RedisStore) -> AsyncIterator[Callable[[], object]]:
    """What a store hears of, one after the other."""
    heard: asyncio.Queue[Selection] = asyncio.Queue()
    watching = asyncio.create_task(store.watch_purges(heard.put_nowait))

    async def hear() -> Selection:
        async with asyncio.timeout(HEAR_SECONDS):
            return await heard.get()

    try:
        yield hear
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


@pytest.mark.parametrize(
    "selection",
    [
        Selection(),
        Selection(model="tiny"),
        Selection(model="tiny", version="1"),
        Selection(version="2"),
        Selection(scope=""),
        Selection(model="tiny", scope="somebody"),
        Selection(model="t*"),
        Selection(scope="some*"),
        Selection(tag="spring"),
        Selection(tag="sp*"),
        Selection(model="tiny", scope="", tag="shop"),
        Selection(tag=""),
        Selection(model="absent"),
    ],
)
async def test_takes_what_is_selected_and_nothing_else(
    store: RedisStore, events: CacheEvents, selection: Selection
) -> None:
    keys = [make_key("entry", owner, kind) for owner in OWNERS for kind in Kind]
    for key in keys:
        await store_entry(store, events, key, b"data")
    selected = [key for key in keys if selection.includes(key.owner)]
    assert await store.purge(selection) == len(selected)
    left = [key for key in keys if await store.find_first([key]) is not None]
    assert left == [key for key in keys if key not in selected]


async def test_takes_more_than_a_batch(redis_server: RedisProcess, store: RedisStore) -> None:
    name = KeyNames(PATIENT.prefix).entry
    digests = (number.to_bytes(8) for number in range(1200))
    redis_server.client.mset({name(replace(make_key(), digest=digest)): b"" for digest in digests})
    assert await store.purge(Selection(model="tiny")) == 1200


async def test_leaves_other_prefixes_alone(redis_server: RedisProcess, events: CacheEvents) -> None:
    key = make_key()
    prefixes = ("te*", "test", "[t]est", "te\\st")
    redis = {prefix: replace(PATIENT, prefix=prefix) for prefix in prefixes}
    for prefix in prefixes:
        async with open_store(redis_server.url, events, redis[prefix]) as store:
            await store_entry(store, events, key, prefix.encode())
    for number, prefix in enumerate(prefixes):
        async with open_store(redis_server.url, events, redis[prefix]) as store:
            assert await store.purge(Selection()) == 1
        assert len(redis_server.client.keys("*:reply:*")) == len(prefixes) - number - 1


async def test_forgets_what_waits_to_be_written(
    redis_server: RedisProcess, events: CacheEvents
) -> None:
    async with open_store(redis_server.url, events) as store:
        store.put(make_key(), b"old")
        store.put(make_key(owner=OWNERS[2]), b"other")
        await store.purge(Selection(version="1"))
        await events.wait_for(lambda: events.stored[Kind.REPLY] == 1)
        assert await store.find_first([make_key()]) is None


async def test_every_process_hears(redis_server: RedisProcess, events: CacheEvents) -> None:
    purges = [Selection(scope="somebody"), Selection(), Selection("tiny", "1", "")]
    async with (
        open_store(redis_server.url, events) as ours,
        open_store(redis_server.url, events) as theirs,
        watch(ours) as we_hear,
        watch(theirs) as they_hear,
    ):
        for purge in purges:
            await ours.purge(purge)
        assert [await they_hear() for _ in purges] == purges
        assert [await we_hear() for _ in purges] == purges


async def test_nothing_is_missed_in_an_outage(events: CacheEvents) -> None:
    """A process that is cut off hears later of what happened meanwhile."""
    with RedisProcess("--appendonly", "yes", "--appendfsync", "always") as redis:
        async with open_store(redis.url, events) as store, watch(store) as hear:
            await store.purge(Selection(version="1"))
            assert await hear() == Selection(version="1")
            redis.kill()
            with pytest.raises(CacheUnavailableError, match="Redis"):
                await store.purge(Selection(version="2"))
            redis.start()
            async with open_store(redis.url, events) as other:
                await other.purge(Selection(version="3"))
            assert await hear() == Selection(version="3")


async def test_goes_on_with_a_stream_that_begins_anew(
    redis_server: RedisProcess, store: RedisStore
) -> None:
    """Even if the clock that numbers it was put back."""
    names = KeyNames(PATIENT.prefix)
    redis_server.client.xadd(names.purges, {"selection": '{"model": "a"}'}, id="9999999999999-1")
    async with watch(store) as hear:
        assert await hear() == Selection(model="a")
        redis_server.client.flushall()
        await store.purge(Selection(model="b"))
        assert await hear() == Selection(model="b")


async def test_what_cannot_be_read_is_a_purge_of_everything(
    redis_server: RedisProcess, store: RedisStore
) -> None:
    names = KeyNames(PATIENT.prefix)
    redis_server.client.xadd(names.purges, {"selection": '{"tenant": "a"}'})
    redis_server.client.xadd(names.purges, {"words": "of another version"})
    async with watch(store) as hear:
        assert [await hear(), await hear()] == [Selection(), Selection()]


async def test_without_redis_a_purge_is_refused(events: CacheEvents) -> None:
    async with open_store(f"redis://:s3cr3t@127.0.0.1:{find_free_port()}", events) as store:
        with pytest.raises(CacheUnavailableError) as caught:
            await store.purge(Selection())
    assert "s3cr3t" not in str(caught.value)
    code, reason = classify(caught.value)
    assert (code.name, reason) == ("UNAVAILABLE", "CACHE_UNAVAILABLE")
    assert events.problems[Problem.CONNECTION] == 0  # no request has failed


names_of_owners = st.text(alphabet="ab:/@*{}-%é", max_size=4)


@given(st.lists(st.tuples(names_of_owners, names_of_owners, names_of_owners), min_size=2))
def test_different_owners_have_different_names(parts: list[tuple[str, str, str]]) -> None:
    owners = {Owner(model, version, "ab", scope) for model, version, scope in parts}
    keys = [EntryKey(Kind.REPLY, owner, "s", b"digest") for owner in owners]
    names = {KeyNames("p").entry(key) for key in keys}
    assert len(names) == len(owners)
    assert all(name.count("{") == 1 and name.index("{s}:") for name in names)
