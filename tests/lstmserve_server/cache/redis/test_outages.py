"""Whatever becomes of Redis, a caller gets an answer within the budget."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from benchmarks.testbed.ports import find_free_port
from benchmarks.testbed.redis import RedisProcess
from benchmarks.testbed.tcp_proxy import TcpProxy
from benchmarks.testbed.waiting import WAIT_SECONDS
from lstmserve_server.cache.entry_key import Kind
from lstmserve_server.cache.observer import Lookup, Problem
from lstmserve_server.cache.redis.store import RedisStore
from support.cache_events import CacheEvents
from support.redis_stores import COUNTED, HASTY, PATIENT, make_key, open_store, store_entry

KEY = make_key()
# what a busy machine may add; a call that waits for redis-py's own limits takes 50 and more
MANY_BUDGETS = 40
SKIPPED_CALLS = 1000


@pytest.fixture
def own_redis() -> Iterator[RedisProcess]:
    """A server that a test may stop."""
    with RedisProcess() as running:
        yield running


@pytest.fixture
async def proxy(redis_server: RedisProcess) -> AsyncIterator[TcpProxy]:
    async with TcpProxy(redis_server.port) as running:
        yield running


def count_skipped(events: CacheEvents) -> int:
    return events.count_lookups(Lookup.SKIPPED)


async def open_breaker(store: RedisStore, events: CacheEvents) -> None:
    """Ask until Redis is left alone, each time within the budget."""
    for number in range(HASTY.breaker_failures):
        assert events.breaker == [], number
        async with asyncio.timeout(MANY_BUDGETS * HASTY.budget_seconds):
            assert await store.look_up(KEY, COUNTED) is None
    assert events.breaker == [True]


async def find_again(store: RedisStore, events: CacheEvents) -> None:
    """Wait until Redis is asked again, and ask."""
    await events.wait_for(lambda: events.breaker[-1:] == [False])
    await store_entry(store, events, KEY, b"after")
    found = await store.look_up(KEY, COUNTED)
    assert found is not None
    assert found.data == b"after"


async def test_a_frozen_redis_is_left_alone_until_it_answers(
    own_redis: RedisProcess, events: CacheEvents
) -> None:
    async with open_store(own_redis.url, events, HASTY) as store:
        await store_entry(store, events, KEY, b"before")
        own_redis.freeze()
        await open_breaker(store, events)
        assert events.problems == {Problem.TIMEOUT: 3}
        for _ in range(SKIPPED_CALLS):
            assert await store.look_up(KEY, COUNTED) is None
            assert await store.find_first([KEY]) is None
        assert count_skipped(events) == 2 * SKIPPED_CALLS
        assert events.problems == {Problem.TIMEOUT: 3}  # Redis was not asked
        assert await store.stats() is None
        own_redis.thaw()
        await find_again(store, events)


async def test_writes_are_dropped_while_redis_is_left_alone(
    own_redis: RedisProcess, events: CacheEvents
) -> None:
    async with open_store(own_redis.url, events, HASTY) as store:
        own_redis.freeze()
        await open_breaker(store, events)
        store.put(KEY, b"reply")
        store.discard(KEY)
        await events.wait_for(lambda: events.problems[Problem.DROPPED] == 2)
        own_redis.thaw()
        await find_again(store, events)
    assert events.stored[Kind.REPLY] == 1


async def test_closing_does_not_wait_for_a_frozen_redis(
    own_redis: RedisProcess, events: CacheEvents
) -> None:
    endless = replace(HASTY, budget_ms=3_600_000)
    async with asyncio.timeout(WAIT_SECONDS), open_store(own_redis.url, events, endless) as store:
        await store_entry(store, events, KEY, b"before")
        own_redis.freeze()
        store.put(KEY, b"after")
        asking = asyncio.create_task(store.look_up(KEY, COUNTED))
        await asyncio.sleep(0)
    assert await asking is None


async def test_a_killed_redis_may_come_back(own_redis: RedisProcess, events: CacheEvents) -> None:
    """With nothing of what it knew, scripts included."""
    async with open_store(own_redis.url, events, HASTY) as store:
        await store_entry(store, events, KEY, b"before")
        assert await store.look_up(KEY, COUNTED) is not None
        own_redis.kill()
        await open_breaker(store, events)
        assert events.problems == {Problem.CONNECTION: 3}
        own_redis.start()
        await find_again(store, events)


async def test_a_store_starts_before_redis(events: CacheEvents) -> None:
    redis = RedisProcess()
    async with open_store(redis.url, events, HASTY) as store:
        await open_breaker(store, events)
        with redis:
            await find_again(store, events)


async def test_a_flushed_redis_is_an_empty_one(
    redis_server: RedisProcess, store: RedisStore, events: CacheEvents
) -> None:
    await store_entry(store, events, KEY, b"reply")
    redis_server.client.flushall()
    found = await store.look_up(KEY, COUNTED)
    assert found is not None
    assert (found.data, found.count) == (None, 1)
    redis_server.client.script_flush()
    found = await store.look_up(KEY, COUNTED)
    assert found is not None
    assert found.count == 2
    redis_server.client.script_flush()
    assert await store.find_first([KEY]) is None
    assert not events.problems


async def test_a_wrong_password_is_told_and_never_logged() -> None:
    with RedisProcess(password="right") as redis:
        for url in (
            f"redis://:wr0ng@127.0.0.1:{redis.port}",
            f"unix://:wr0ng@{redis.socket_path}",
            f"redis://127.0.0.1:{redis.port}",
        ):
            events = CacheEvents()
            with capture_logs() as logs:
                async with open_store(url, events, HASTY) as store:
                    await open_breaker(store, events)
            assert events.problems == {Problem.CREDENTIALS: 3}
            assert "wr0ng" not in str(logs)
            warnings = [entry for entry in logs if entry["log_level"] == "warning"]
            assert [entry["problem"] for entry in warnings] == ["credentials"]


async def test_a_refusal_opens_no_breaker(redis_server: RedisProcess, events: CacheEvents) -> None:
    """A Redis that refuses is there, and costs no time."""
    redis_server.client.acl_setuser(
        "reader", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-evalsha", "-eval"]
    )
    url = f"redis://reader:any@127.0.0.1:{redis_server.port}"
    async with open_store(url, events, PATIENT) as store:
        for _ in range(PATIENT.breaker_failures + 1):
            assert await store.look_up(KEY, COUNTED) is None
    assert events.problems == {Problem.NOPERM: PATIENT.breaker_failures + 1}
    assert events.breaker == []


async def test_nobody_listens_at_all(events: CacheEvents) -> None:
    async with open_store(f"redis://127.0.0.1:{find_free_port()}", events, HASTY) as store:
        await open_breaker(store, events)
        store.put(KEY, b"reply")
        await events.wait_for(lambda: events.problems[Problem.DROPPED] == 1)


async def test_what_is_swallowed_costs_the_budget(proxy: TcpProxy, events: CacheEvents) -> None:
    async with open_store(f"redis://127.0.0.1:{proxy.port}", events, HASTY) as store:
        await store_entry(store, events, KEY, b"before")
        proxy.is_swallowing = True
        await open_breaker(store, events)
        proxy.is_swallowing = False
        await find_again(store, events)


@pytest.mark.parametrize("cut_after", [0, 1, 9, 400])
async def test_a_reply_that_is_cut_off_is_none(
    proxy: TcpProxy, events: CacheEvents, cut_after: int
) -> None:
    async with open_store(f"redis://127.0.0.1:{proxy.port}", events) as store:
        await store_entry(store, events, KEY, b"x" * 1000)
        assert await store.find_first([KEY]) == (0, b"x" * 1000)
        proxy.cut_after, proxy.cut_from_bytes = cut_after, 1000  # none but what brings the data
        assert await store.find_first([KEY]) is None
        assert events.problems == {Problem.CONNECTION: 1}
        assert await store.find_first([KEY]) == (0, b"x" * 1000)
    assert events.breaker == []


async def test_callers_that_give_up_are_no_failures(proxy: TcpProxy, events: CacheEvents) -> None:
    async with open_store(f"redis://127.0.0.1:{proxy.port}", events) as store:
        await store_entry(store, events, KEY, b"reply")
        proxy.is_swallowing = True
        num_lookups = 3 * PATIENT.max_connections
        callers = [asyncio.create_task(store.look_up(KEY, COUNTED)) for _ in range(num_lookups)]
        await asyncio.sleep(0)
        for caller in callers:
            caller.cancel()
        ends = await asyncio.gather(*callers, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ends)
        proxy.is_swallowing = False
        # as many as there are connections, at once: none has been lost
        again = await asyncio.gather(
            *(store.find_first([KEY]) for _ in range(PATIENT.max_connections))
        )
        assert again == [(0, b"reply")] * PATIENT.max_connections
    assert not events.problems
    assert events.breaker == []


async def test_more_lookups_than_connections_wait_for_one(
    proxy: TcpProxy, events: CacheEvents
) -> None:
    redis = replace(PATIENT, max_connections=2)
    async with open_store(f"redis://127.0.0.1:{proxy.port}", events, redis) as store:
        await store_entry(store, events, KEY, b"reply")
        found = await asyncio.gather(*(store.find_first([KEY]) for _ in range(50)))
        assert found == [(0, b"reply")] * 50
        assert proxy.num_connections <= 2
