"""A cluster whose nodes come and go, those that the URL names as well."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace

import pytest

from benchmarks.testbed.ports import HOST
from benchmarks.testbed.redis import RedisProcess
from benchmarks.testbed.redis_cluster import (
    NODE,
    agree,
    find_slots,
    is_replica,
    is_serving,
    move_slot,
    replicate,
    start_cluster,
    url_of,
)
from benchmarks.testbed.tcp_proxy import TcpProxy
from benchmarks.testbed.waiting import until, until_so
from lstmserve_server.cache.entry_key import EntryKey, Selection
from lstmserve_server.cache.observer import Problem
from lstmserve_server.cache.redis.store import RedisStore
from lstmserve_server.errors import CacheUnavailableError
from support.cache_events import CacheEvents
from support.redis_stores import COUNTED, HASTY, PATIENT, make_key, open_store, store_entry

# entries of both primaries
KEYS = [replace(make_key(), shard=f"{number:02x}") for number in range(8)]


@pytest.fixture(scope="module")
def nodes() -> Iterator[Sequence[RedisProcess]]:
    """Two primaries and a replica."""
    with ExitStack() as servers:
        started = [servers.enter_context(RedisProcess(*NODE)) for _ in range(3)]
        start_cluster(*started[:2], without_slots=started[2:])
        replicate(started[0], started[2])
        yield started


@pytest.fixture
def replica(nodes: Sequence[RedisProcess]) -> RedisProcess:
    """Of a cluster that serves, whatever has been done to it before."""
    until(lambda: all(is_serving(node, len(nodes)) for node in nodes), "the cluster serves")
    until(lambda: agree(nodes), "all know who has which slots")
    return next(node for node in nodes if is_replica(node))


@pytest.fixture
def primaries(nodes: Sequence[RedisProcess], replica: RedisProcess) -> list[RedisProcess]:
    """Emptied; the first is the replica's."""
    port = replica.client.info("replication")["master_port"]
    found = sorted((node for node in nodes if node is not replica), key=lambda n: n.port != port)
    for node in found:
        node.client.flushall()
    return found


async def store_all(node: RedisProcess) -> None:
    """With all the time that it takes to learn a cluster's layout."""
    events = CacheEvents()
    async with open_store(url_of(node), events) as store:
        for key in KEYS:
            await store_entry(store, events, key, b"reply")


async def find_all(store: RedisStore) -> list[EntryKey]:
    return [key for key in KEYS if await store.find_first([key]) is not None]


async def test_goes_on_without_the_nodes_that_the_url_names(
    primaries: list[RedisProcess], events: CacheEvents
) -> None:
    """Requests, purges, their watch and figures alike."""
    heard: asyncio.Queue[Selection] = asyncio.Queue()
    await store_all(primaries[0])
    async with TcpProxy(primaries[0].port) as seed:
        opening = open_store(f"redis+cluster://{HOST}:{seed.port}", events)
        store = await opening.__aenter__()
        assert await find_all(store) == KEYS
    try:
        assert all(node.client.keys("*:reply:*") for node in primaries)
        watching = asyncio.create_task(store.watch_purges(heard.put_nowait))
        assert await store.purge(Selection(model="tiny")) == len(KEYS)
        assert await heard.get() == Selection(model="tiny")
        assert await find_all(store) == []
        assert await store.stats() is not None
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    finally:
        await opening.__aexit__(None, None, None)
    assert not events.problems


async def test_slots_that_move_take_their_entries_along(
    primaries: list[RedisProcess], events: CacheEvents
) -> None:
    """Lookups go on meanwhile, and each finds what is there: nothing is asked of a wrong node."""
    await store_all(primaries[0])
    async with open_store(url_of(primaries[0]), events) as store:
        assert await find_all(store) == KEYS
        moving = find_slots(primaries[0])
        for source, destination in (primaries, primaries[::-1]):
            for slot in moving:
                move_slot(slot, source, destination)
                assert await find_all(store) == KEYS
            assert set(moving).isdisjoint(find_slots(source))
        assert await store.purge(Selection()) == len(KEYS)
    assert not events.problems


async def test_a_primary_that_is_gone_is_left(
    primaries: list[RedisProcess], replica: RedisProcess, events: CacheEvents
) -> None:
    """Although the other answers most requests, so that no breaker opens."""
    gone = primaries[0]
    patient = replace(HASTY, breaker_failures=10**9)
    await store_all(gone)
    async with open_store(url_of(gone), events, patient) as store:
        while await find_all(store) != KEYS:
            pass
        await until_so(lambda: len(replica.client.keys("*:reply:*")) > 0, "a copy")
        gone.freeze()
        try:
            replica.client.execute_command("CLUSTER", "FAILOVER", "TAKEOVER")
            await until_so(lambda: not is_replica(replica), "the replica has taken over")
            while await find_all(store) != KEYS:
                pass
            assert await store.stats() is not None
            assert await store.purge(Selection()) == len(KEYS)
        finally:
            gone.thaw()
        await until_so(lambda: is_replica(gone), "the old primary has become a replica")
    assert set(events.problems) <= {Problem.TIMEOUT, Problem.CONNECTION}


async def test_a_primary_that_is_gone_is_left_alone_by_itself(
    primaries: list[RedisProcess], events: CacheEvents
) -> None:
    """What the other one has is found and written all the while."""
    gone, other = primaries
    await store_all(other)
    patient = replace(PATIENT, breaker_failures=3)
    async with open_store(url_of(gone, other), events, patient) as store:
        assert await find_all(store) == KEYS
        there = find_kept(other)
        gone.kill()
        try:
            while not events.breaker:
                await find_all(store)
            assert await find_all(store) == there
            await store_entry(store, events, replace(make_key("new"), shard=there[0].shard), b"new")
            assert events.breaker == [True]
        finally:
            gone.start()
        await events.wait_for(lambda: events.breaker == [True, False])
        # the other one begins with what it had last written to a file for a replica, if anything
        assert [key for key in await find_all(store) if key in there] == there
    assert set(events.problems) <= {Problem.CONNECTION, Problem.CLUSTERDOWN}


def find_kept(node: RedisProcess) -> list[EntryKey]:
    """Return which of the entries a node has."""
    kept = " ".join(map(str, node.client.keys("*:reply:*")))
    return [key for key in KEYS if f"{{{key.shard}}}" in kept]


async def test_a_purge_takes_what_it_can_reach(
    primaries: list[RedisProcess], events: CacheEvents
) -> None:
    """And says that there may be more."""
    gone, other = primaries
    await store_all(gone)
    async with open_store(url_of(gone, other), events, HASTY) as store:
        left = len(gone.client.keys("*:reply:*"))
        gone.kill()
        try:
            with pytest.raises(CacheUnavailableError):
                await store.purge(Selection())
            assert other.client.keys("*:reply:*") == []
        finally:
            gone.start()
        assert left


async def test_another_cluster_behind_the_same_name(events: CacheEvents) -> None:
    """Of which no node was known."""
    with RedisProcess(*NODE) as first, RedisProcess(*NODE) as second:
        start_cluster(first)
        start_cluster(second)
        async with (
            TcpProxy(first.port) as seed,
            open_store(f"redis+cluster://{HOST}:{seed.port}", events, HASTY) as store,
        ):
            while await store.look_up(make_key(), COUNTED) is None:
                pass
            first.kill()
            seed.server_port = second.port
            while not second.client.keys("*:asked2:*"):
                await store.look_up(make_key(), COUNTED)
                await asyncio.sleep(0)  # while Redis is left alone, a lookup waits for nothing
            assert await store.purge(Selection()) == 0
