"""A cluster whose nodes come and go, those that the URL names as well."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace

import pytest

from benchmarks.testbed.ports import HOST
from benchmarks.testbed.redis import RedisProcess, is_serving, start_cluster
from benchmarks.testbed.tcp_proxy import TcpProxy
from benchmarks.testbed.waiting import until, until_so
from lstmserve_server.cache.entry_key import EntryKey, Selection
from lstmserve_server.cache.observer import Problem
from lstmserve_server.cache.redis.store import RedisStore
from lstmserve_server.errors import CacheUnavailableError
from support.cache_events import CacheEvents
from support.redis_stores import COUNTED, HASTY, make_key, open_store, store_entry

CLUSTER = (
    *("--cluster-enabled", "yes", "--cluster-require-full-coverage", "no"),
    *("--repl-diskless-sync-delay", "0"),
)
# entries of both primaries
KEYS = [replace(make_key(), shard=f"{number:02x}") for number in range(8)]


@pytest.fixture(scope="module")
def nodes() -> Iterator[Sequence[RedisProcess]]:
    """Two primaries and a replica."""
    with ExitStack() as servers:
        started = [servers.enter_context(RedisProcess(*CLUSTER)) for _ in range(3)]
        start_cluster(*started[:2], without_slots=started[2:])
        primary = started[0].client.execute_command("CLUSTER", "MYID")
        started[2].client.execute_command("CLUSTER", "REPLICATE", primary)
        yield started


@pytest.fixture
def replica(nodes: Sequence[RedisProcess]) -> RedisProcess:
    """Of a cluster that serves, whatever has been done to it before."""
    until(lambda: all(is_serving(node, len(nodes)) for node in nodes), "the cluster serves")
    return next(node for node in nodes if is_replica(node))


@pytest.fixture
def primaries(nodes: Sequence[RedisProcess], replica: RedisProcess) -> list[RedisProcess]:
    """Emptied; the first is the replica's."""
    port = replica.client.info("replication")["master_port"]
    found = sorted((node for node in nodes if node is not replica), key=lambda n: n.port != port)
    for node in found:
        node.client.flushall()
    return found


def is_replica(node: RedisProcess) -> bool:
    return bool(node.client.info("replication")["role"] == "slave")


def url_of(*ports: int) -> str:
    return "redis+cluster://" + ",".join(f"{HOST}:{port}" for port in ports)


async def store_all(node: RedisProcess) -> None:
    """With all the time that it takes to learn a cluster's layout."""
    events = CacheEvents()
    async with open_store(url_of(node.port), events) as store:
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
        opening = open_store(url_of(seed.port), events)
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
    async with open_store(url_of(primaries[0].port), events) as store:
        assert await find_all(store) == KEYS
        for source, destination in (primaries, primaries[::-1]):
            for slot in sorted({slot_of(source, key) for key in source.client.keys("*")}):
                move_slot(slot, source, destination)
                assert await find_all(store) == KEYS
            assert not source.client.keys("*")
        assert await store.purge(Selection()) == len(KEYS)
    assert not events.problems


def slot_of(node: RedisProcess, key: bytes) -> int:
    return int(node.client.execute_command("CLUSTER", "KEYSLOT", key))


def move_slot(slot: int, source: RedisProcess, destination: RedisProcess) -> None:
    """As an operator's tools do it, a slot at a time."""
    ids = [node.read_text("CLUSTER", "MYID") for node in (source, destination)]
    destination.read_text("CLUSTER", "SETSLOT", str(slot), "IMPORTING", ids[0])
    source.read_text("CLUSTER", "SETSLOT", str(slot), "MIGRATING", ids[1])
    for key in source.client.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 1000):
        source.client.execute_command("MIGRATE", HOST, destination.port, key, 0, 10_000)
    for node in (destination, source):
        node.read_text("CLUSTER", "SETSLOT", str(slot), "NODE", ids[1])


async def test_a_primary_that_is_gone_is_left(
    primaries: list[RedisProcess], replica: RedisProcess, events: CacheEvents
) -> None:
    """Although the other answers most requests, so that no breaker opens."""
    gone = primaries[0]
    patient = replace(HASTY, breaker_failures=10**9)
    await store_all(gone)
    async with open_store(url_of(gone.port), events, patient) as store:
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


async def test_a_purge_takes_what_it_can_reach(
    primaries: list[RedisProcess], events: CacheEvents
) -> None:
    """And says that there may be more."""
    gone, other = primaries
    await store_all(gone)
    async with open_store(url_of(gone.port, other.port), events, HASTY) as store:
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
    with RedisProcess(*CLUSTER) as first, RedisProcess(*CLUSTER) as second:
        start_cluster(first)
        start_cluster(second)
        async with (
            TcpProxy(first.port) as seed,
            open_store(url_of(seed.port), events, HASTY) as store,
        ):
            while await store.look_up(make_key(), COUNTED) is None:
                pass
            first.kill()
            seed.server_port = second.port
            while not second.client.keys("*:asked2:*"):
                await store.look_up(make_key(), COUNTED)
                await asyncio.sleep(0)  # while Redis is left alone, a lookup waits for nothing
            assert await store.purge(Selection()) == 0
