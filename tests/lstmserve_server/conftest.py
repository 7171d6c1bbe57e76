"""One loaded model and one Redis for all tests that need no server and do no harm."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from benchmarks.testbed import preloaded
from benchmarks.testbed.redis import RedisProcess
from lstmserve_server.cache.redis.store import RedisStore
from support.cache_events import CacheEvents
from support.engines import LoadedModel, load_tiny
from support.redis_stores import open_store


@pytest.fixture(scope="session")
def tiny(tiny_store: Path) -> LoadedModel:
    return load_tiny(tiny_store)


@pytest.fixture(scope="session")
def shared_redis() -> Iterator[RedisProcess]:
    with RedisProcess() as running:
        yield running


@pytest.fixture
def forked_engines() -> Iterator[None]:
    """Engines that tests start without a server are forked from what has imported torch."""
    with preloaded.forking():
        yield


@pytest.fixture
def redis_server(shared_redis: RedisProcess) -> RedisProcess:
    """Emptied before each test."""
    shared_redis.client.flushall()
    shared_redis.client.config_set("maxmemory", 0)
    return shared_redis


@pytest.fixture
async def events() -> CacheEvents:
    return CacheEvents()


@pytest.fixture
async def store(redis_server: RedisProcess, events: CacheEvents) -> AsyncIterator[RedisStore]:
    async with open_store(redis_server.url, events) as opened:
        yield opened
