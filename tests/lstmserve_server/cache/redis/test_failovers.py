"""A server that is no longer the right one is left, however the address leads to another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from benchmarks.testbed.ports import HOST
from benchmarks.testbed.redis import RedisProcess, SentinelProcess
from benchmarks.testbed.tcp_proxy import TcpProxy
from benchmarks.testbed.waiting import until_so
from lstmserve_server.cache.entry_key import Selection
from lstmserve_server.cache.observer import Problem
from lstmserve_server.cache.redis import finder
from lstmserve_server.cache.redis.store import RedisStore
from support.cache_events import CacheEvents
from support.redis_stores import COUNTED, HASTY, PATIENT, make_key, open_store, store_entry

REFUSES, GRANTS = "Redis refuses", "Redis refuses no more"
AT_ONCE = ("--repl-diskless-sync-delay", "0")
FEW = 5
WAIT_SECONDS = 60  # for another server to be found, which takes less than one


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[RedisProcess, RedisProcess]]:
    with ExitStack() as servers:
        first, second = (servers.enter_context(RedisProcess(*AT_ONCE)) for _ in range(2))
        yield first, second


@pytest.fixture
def old(pair: tuple[RedisProcess, RedisProcess]) -> Iterator[RedisProcess]:
    """The server that the address leads to at first."""
    yield pair[0]
    pair[0].thaw()
    pair[0].client.replicaof("NO", "ONE")
    pair[0].client.flushall()


@pytest.fixture
def new(pair: tuple[RedisProcess, RedisProcess]) -> RedisProcess:
    pair[1].client.flushall()
    return pair[1]


@pytest.fixture
async def address(old: RedisProcess) -> AsyncIterator[TcpProxy]:
    """What leads to one server and then to another, as a name or a Service does."""
    async with TcpProxy(old.port) as running:
        yield running


@asynccontextmanager
async def logging() -> AsyncIterator[list[EventDict]]:
    with capture_logs() as entries:
        yield entries


def demote(server: RedisProcess, primary: RedisProcess) -> None:
    server.client.replicaof(HOST, primary.port)


def tell(entries: list[EventDict]) -> list[tuple[object, object]]:
    """What was logged of refusals."""
    return [
        (entry["event"], entry["problem"])
        for entry in entries
        if entry["event"] in {REFUSES, GRANTS}
    ]


async def ask(store: RedisStore, events: CacheEvents, name: str) -> bool:
    """One question that is not kept yet; whether its reply is kept in the end."""
    key = make_key(name)
    assert await store.look_up(key, COUNTED) is not None
    before = events.problems.total(), events.stored.total()
    store.put(key, b"reply")
    await events.wait_for(lambda: (events.problems.total(), events.stored.total()) > before)
    return events.stored.total() > before[1]


async def ask_until_stored(store: RedisStore, events: CacheEvents) -> None:
    """How many questions that takes depends on how fast they are asked."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not await ask(store, events, "lost"):
            pass


def url_of(address: TcpProxy) -> str:
    return f"redis://{HOST}:{address.port}"


async def test_a_demoted_primary_is_left(
    old: RedisProcess, new: RedisProcess, address: TcpProxy, events: CacheEvents
) -> None:
    """Although it answers, and although its connections last."""
    async with logging() as entries, open_store(url_of(address), events) as store:
        await asyncio.gather(*(store.look_up(make_key(), COUNTED) for _ in range(8)))
        await store_entry(store, events, make_key("kept"), b"reply")
        demote(old, new)
        address.server_port = new.port
        await ask_until_stored(store, events)
        assert all([await ask(store, events, f"after {number}") for number in range(40)])
        assert set(events.problems) == {Problem.READONLY}
        await until_so(lambda: len(tell(entries)) == 2, "it begins and ends")
    assert tell(entries) == [(REFUSES, "readonly"), (GRANTS, "readonly")]
    assert events.breaker == []
    assert new.client.exists(*new.client.keys("*:reply:*"))


async def test_a_replica_is_read_until_the_address_leads_elsewhere(
    old: RedisProcess, new: RedisProcess, address: TcpProxy, events: CacheEvents
) -> None:
    key = make_key("kept")
    demote(old, new)
    async with open_store(new.url, events) as store:
        await store_entry(store, events, key, b"reply")
    await until_so(lambda: old.client.keys("*:reply:*"), "a reply is kept")
    async with logging() as entries, open_store(url_of(address), events) as store:
        for number in range(FEW):
            assert not await ask(store, events, f"refused {number}")
        found = await store.look_up(key, COUNTED)
        assert found is not None
        assert found.data == b"reply"
        address.server_port = new.port
        await ask_until_stored(store, events)
        assert all([await ask(store, events, f"after {number}") for number in range(FEW)])
        await until_so(lambda: len(tell(entries)) == 2, "it begins and ends")
    assert tell(entries) == [(REFUSES, "readonly"), (GRANTS, "readonly")]
    assert set(events.problems) == {Problem.READONLY}
    assert events.breaker == []


async def test_connections_to_a_server_that_is_gone_are_left_together(
    old: RedisProcess, new: RedisProcess, address: TcpProxy, events: CacheEvents
) -> None:
    """Those that lie idle as well: otherwise each costs a probe, at growing intervals."""
    async with open_store(url_of(address), events, HASTY) as store:
        await asyncio.gather(*(store.look_up(make_key(), COUNTED) for _ in range(16)))
        assert address.num_connections >= 2 * HASTY.breaker_failures
        old.freeze()
        address.server_port = new.port
        while not events.breaker:  # at once: one after the other may all take the same connection
            await asyncio.gather(*(store.look_up(make_key(), COUNTED) for _ in range(16)))
        await events.wait_for(lambda: events.breaker == [True, False])
        assert await ask(store, events, "after")
    assert set(events.problems) == {Problem.TIMEOUT}


async def test_a_server_that_only_loads_is_left(
    new: RedisProcess, address: TcpProxy, events: CacheEvents
) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            writer.write(b"-LOADING Redis is loading the dataset in memory\r\n")
        writer.close()

    async with (
        await asyncio.start_server(refuse, HOST, 0) as loading,
        logging() as entries,
        open_store(url_of(address), events) as store,
    ):
        address.server_port = loading.sockets[0].getsockname()[1]
        await address.hang_up()
        while not events.breaker:
            await store.look_up(make_key(), COUNTED)
        assert events.problems[Problem.LOADING] >= PATIENT.breaker_failures
        address.server_port = new.port
        await events.wait_for(lambda: events.breaker == [True, False])
        await ask_until_stored(store, events)
        await until_so(lambda: len(tell(entries)) == 2, "it begins and ends")
    assert tell(entries) == [(REFUSES, "loading"), (GRANTS, "loading")]


async def test_a_server_that_was_replaced_in_silence_is_left(
    old: RedisProcess,
    new: RedisProcess,
    address: TcpProxy,
    events: CacheEvents,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It still takes writes, but nobody else asks it; purges are made elsewhere."""
    monkeypatch.setattr(finder, "COMPARE_SECONDS", 0.02)
    heard: asyncio.Queue[Selection] = asyncio.Queue()
    async with (
        open_store(url_of(address), events) as store,
        open_store(new.url, CacheEvents()) as other,
    ):
        watching = asyncio.create_task(store.watch_purges(heard.put_nowait))
        assert await ask(store, events, "before")
        address.server_port = new.port
        while not new.client.keys("*:reply:*"):
            assert await ask(store, events, "after")
        await other.purge(Selection(model="tiny"))
        assert await heard.get() == Selection(model="tiny")
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    assert not events.problems
    assert old.client.keys("*:reply:*")


async def test_what_a_sentinel_took_for_the_primary_is_left(
    old: RedisProcess, new: RedisProcess, events: CacheEvents
) -> None:
    """redis-py raises an error of the connection then, also for a pipeline."""
    with SentinelProcess(old) as sentinel:
        url = f"redis+sentinel://{HOST}:{sentinel.port}/main"
        async with logging() as entries, open_store(url, events) as store:
            assert await ask(store, events, "before")
            demote(old, new)
            sentinel.client.execute_command("SENTINEL", "REMOVE", "main")
            store.put(make_key("refused"), b"reply")
            await events.wait_for(lambda: events.problems[Problem.READONLY] > 0)
            sentinel.client.execute_command("SENTINEL", "MONITOR", "main", HOST, new.port, 1)
            while not await ask(store, events, "lost"):
                pass
            await until_so(lambda: (GRANTS, "readonly") in tell(entries), "the trouble is told")
    assert tell(entries) == [(REFUSES, "readonly"), (GRANTS, "readonly")]
    assert set(events.problems) <= {Problem.READONLY, Problem.DROPPED}


async def fail_to_save(server: RedisProcess) -> None:
    """Which matters as long as something is to be saved."""
    place = server.folder / "dump.rdb"
    place.unlink(missing_ok=True)
    place.mkdir()
    server.client.bgsave()
    await until_so(lambda: has_failed_to_save(server), "a dump fails")
    place.rmdir()


def has_failed_to_save(server: RedisProcess) -> bool:
    """Whether the last dump failed, and none is being made: it may be one that will not fail."""
    facts = server.client.info("persistence")
    return facts["rdb_last_bgsave_status"] == "err" and not facts["rdb_bgsave_in_progress"]


REFUSALS = {
    Problem.OOM: {"maxmemory": 1},
    Problem.NOREPLICAS: {"min-replicas-to-write": 1},
    Problem.MISCONF: {"save": "3600 1000000"},
}
DEFAULTS = {"maxmemory": 0, "min-replicas-to-write": 0, "save": ""}


@pytest.mark.parametrize("problem", REFUSALS, ids=lambda problem: problem.value)
async def test_a_refusal_is_told_once_with_its_reason(
    old: RedisProcess, events: CacheEvents, problem: Problem
) -> None:
    """Whether it stands in a script's answer or in a pipeline's."""
    async with logging() as entries, open_store(old.url, events) as store:
        await fail_to_save(old)
        assert await ask(store, events, "before")
        for name, value in REFUSALS[problem].items():
            old.client.config_set(name, value)
        for number in range(FEW):
            assert not await ask(store, events, f"refused {number}")
        assert set(events.problems) == {problem}
        assert events.problems[problem] >= 2 * FEW  # by the script and by the pipeline
        for name, value in DEFAULTS.items():
            old.client.config_set(name, value)
        assert await ask(store, events, "after")
        await until_so(lambda: len(tell(entries)) == 2, "it begins and ends")
    assert tell(entries) == [(REFUSES, problem.value), (GRANTS, problem.value)]
    assert all(entry["reason"] for entry in entries if entry["event"] == REFUSES)
    assert events.breaker == []


async def test_what_a_user_may_not_do_is_told(old: RedisProcess, events: CacheEvents) -> None:
    """Inside a script, in a pipeline and by itself."""
    for number, denied in enumerate(["-bitfield", "-set", "-evalsha", "-unlink"]):
        name = f"user{number}"
        old.client.acl_setuser(
            name, enabled=True, nopass=True, keys=["*"], commands=["+@all", denied]
        )
        told = CacheEvents()
        async with open_store(f"redis://{name}:any@{HOST}:{old.port}", told) as store:
            await store.look_up(make_key(), COUNTED)
            store.put(make_key(denied), b"reply")
            await told.wait_for(lambda told=told: told.problems.total() > 0)
        assert set(told.problems) == {Problem.NOPERM}, denied
        assert told.breaker == []
