"""A server behind a sentinel, whose primary is killed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.testbed.ports import HOST
from benchmarks.testbed.redis import RedisProcess, SentinelProcess
from benchmarks.testbed.redis_cluster import is_replica
from benchmarks.testbed.waiting import until, until_so
from lstmserve.v1 import cache_service_pb2 as admin
from lstmserve.v1 import generation_service_pb2 as pb
from support.served import Served, serve
from support.steady_load import SteadyLoad
from support.wire_requests import make_request

HIT = pb.CACHE_OUTCOME_HIT
FAR_ONLY = ("--cache-bytes", "0", "--state-cache-bytes", "0")
NUM_QUESTIONS = 24
# so soon a primary is taken for gone
DOWN_AFTER_MS = 1000


@dataclass(frozen=True)
class Watched:
    """A primary, its replica, and who replaces it."""

    primary: RedisProcess
    replica: RedisProcess
    sentinel: SentinelProcess

    @property
    def url(self) -> str:
        return f"redis+sentinel://{self.sentinel.address}/{self.sentinel.service}"


@pytest.fixture
def watched() -> Iterator[Watched]:
    at_once = ("--repl-diskless-sync-delay", "0")
    with ExitStack() as servers:
        primary, replica = (servers.enter_context(RedisProcess(*at_once)) for _ in range(2))
        replica.client.replicaof(HOST, primary.port)
        until(lambda: replica.client.info("replication")["master_link_status"] == "up", "a copy")
        sentinel = SentinelProcess(primary, down_after_ms=DOWN_AFTER_MS)
        servers.enter_context(sentinel)
        until(lambda: sentinel.client.sentinel_slaves(sentinel.service), "the replica is known")
        yield Watched(primary, replica, sentinel)


async def test_a_primary_is_killed_and_replaced(
    tiny_store: Path, uncached: Served, watched: Watched
) -> None:
    """No call fails, what was kept is found again, and a purge reaches it."""
    requests = [make_request(f"where is parcel {n}", seed=n) for n in range(NUM_QUESTIONS)]
    expected = [(request, uncached.ask(request)) for request in requests]
    options = ("--cache-threshold", "1", "--redis-url", watched.url, "--redis-budget-ms", "1000")
    with serve(tiny_store, *options, *FAR_ONLY) as served:
        async with SteadyLoad(served.process.target, expected, callers=4) as load:
            await load.replies(100, HIT)
            watched.primary.kill()
            await load.until(
                served.process.metrics_url, lambda page: page.total("cache_breaker_open") == 1
            )
            await until_so(lambda: not is_replica(watched.replica), "the replica has taken over")
            await load.replies(100, HIT)
        for request in requests:
            until(lambda asked=request: served.ask(asked).outcome == HIT, "it is kept")  # type: ignore[misc]
        purged = served.cache.PurgeCache(admin.PurgeCacheRequest())
        assert purged.redis_entries >= NUM_QUESTIONS
        assert not watched.replica.client.keys("*:reply:*")
        assert "Traceback" not in served.process.read_log()
