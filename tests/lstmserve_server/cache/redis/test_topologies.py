"""The same store before every kind of Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from benchmarks.testbed.ports import HOST
from benchmarks.testbed.redis import RedisProcess, SentinelProcess
from benchmarks.testbed.redis_cluster import start_cluster
from lstmserve_server.cache.entry_key import Selection
from lstmserve_server.cache.redis.lookup import RemoteLookup
from support.cache_events import CacheEvents
from support.redis_stores import COUNTED, make_key, open_store, store_entry


@pytest.fixture(scope="module")
def urls() -> Iterator[dict[str, str]]:
    with ExitStack() as servers:
        locked = servers.enter_context(RedisProcess(password="p@ss/word"))
        master = servers.enter_context(RedisProcess())
        sentinel = servers.enter_context(SentinelProcess(master))
        guard = servers.enter_context(SentinelProcess(locked, password="guard/word"))
        node = servers.enter_context(RedisProcess("--cluster-enabled", "yes"))
        start_cluster(node)
        yield {
            "socket": f"unix://{master.socket_path}?db=1",
            "database": f"{master.url}/2",
            "password": f"redis://default:p%40ss%2Fword@{HOST}:{locked.port}",
            "socket and password": f"unix://:p%40ss%2Fword@{locked.socket_path}?db=5",
            "sentinel": f"redis+sentinel://{HOST}:1,{HOST}:{sentinel.port}/main/3",
            "sentinel and passwords": (
                f"redis+sentinel://:p%40ss%2Fword@{HOST}:{guard.port}/main/4"
                "?sentinel_password=guard%2Fword"
            ),
            "cluster": f"redis+cluster://{HOST}:{node.port}",
        }


@pytest.mark.parametrize(
    "name",
    [
        *("socket", "database", "password", "socket and password"),
        *("sentinel", "sentinel and passwords", "cluster"),
    ],
)
async def test_serves(urls: dict[str, str], events: CacheEvents, name: str) -> None:
    key, other = make_key(), make_key("other")
    heard: asyncio.Queue[Selection] = asyncio.Queue()
    async with open_store(urls[name], events) as store:
        watching = asyncio.create_task(store.watch_purges(heard.put_nowait))
        assert await store.look_up(key, COUNTED) == RemoteLookup(None, 1, is_leased_elsewhere=False)
        await store_entry(store, events, key, b"reply")
        assert await store.look_up(key, COUNTED) == RemoteLookup(
            b"reply", 2, is_leased_elsewhere=False
        )
        assert await store.find_first([other, key]) == (1, b"reply")
        assert await store.stats() is not None
        assert await store.purge(Selection(model="tiny")) == 1
        assert await heard.get() == Selection(model="tiny")
        assert await store.find_first([other, key]) is None
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    assert not events.problems
    assert events.breaker == []


@pytest.mark.parametrize("name", ["cluster", "sentinel"])
async def test_an_unknown_service_or_cluster_is_an_outage(
    urls: dict[str, str], events: CacheEvents, name: str
) -> None:
    url = urls["sentinel"].replace("/main", "/other")
    if name == "cluster":
        url = urls["database"].replace("redis://", "redis+cluster://").removesuffix("/2")
    async with open_store(url, events) as store:
        for _ in range(5):
            assert await store.look_up(make_key(), COUNTED) is None
        assert events.breaker == [True]
