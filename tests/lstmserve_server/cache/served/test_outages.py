"""Whatever becomes of Redis, no caller gets an error or another reply."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from pathlib import Path

import pytest

from benchmarks.testbed.ports import HOST
from benchmarks.testbed.redis import RedisProcess
from benchmarks.testbed.server import ServerProcess
from benchmarks.testbed.tcp_proxy import TcpProxy
from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_server.cache.observer import Problem
from support.metrics_page import MetricsPage
from support.served import Served
from support.steady_load import SteadyLoad
from support.whole_reply import WholeReply
from support.wire_requests import conversation, make_request

HIT = pb.CACHE_OUTCOME_HIT
# what is kept in process would hide most of what Redis does
FAR_ONLY = ("--cache-bytes", "0", "--state-cache-bytes", "0")
EAGER = ("--cache-threshold", "1", "--state-stride-tokens", "16", "--redis-budget-ms", "100")
NUM_REQUESTS = 24
PROBLEMS = tuple(problem.value for problem in Problem)
LATE = {"timeout", "dropped"}  # on a busy machine any answer of Redis may come too late
SKIPPED = "cache_lookups_total"
ERRORS = ("cache_errors_total", "state_cache_errors_total")
MEGABYTE = 1 << 20
Expected = list[tuple[pb.GenerateRequest, WholeReply]]
variations = count()


@pytest.fixture(scope="module")
def own_redis() -> Iterator[RedisProcess]:
    """One that these tests may harm."""
    with RedisProcess() as running:
        yield running


@pytest.fixture
def redis(own_redis: RedisProcess) -> Iterator[RedisProcess]:
    own_redis.client.flushall()
    yield own_redis
    own_redis.thaw()
    if own_redis.process.poll() is not None:
        own_redis.start()
    own_redis.client.config_set("maxmemory", 0)
    own_redis.client.config_set("maxmemory-policy", "noeviction")


@pytest.fixture(scope="module")
def expected(uncached: Served) -> Expected:
    """Requests of many kinds with their replies."""
    rng = random.Random(1)
    requests = [random_request(rng) for _ in range(NUM_REQUESTS)]
    return [(request, uncached.ask(request)) for request in requests]


def random_request(rng: random.Random) -> pb.GenerateRequest:
    request = make_request(
        f"where is parcel {next(variations)}",
        seed=rng.getrandbits(64),
        temperature=rng.choice([0.0, 1.3]),
        max_tokens=rng.choice([4, 16]),
        stops=rng.sample(["e", "。"], rng.choice([0, 1])),
    )
    if rng.random() < 0.3:
        request.sampling.logprobs = 2
    if rng.random() < 0.5:
        said = ("hello, my lamp is broken and I want to return it", "Oh no! Let me check.")
        request.conversation.CopyFrom(conversation(*said, request.prompt))
    return request


class Outage:
    """A server that is asked all the time, and its figures since that began."""

    def __init__(self, server: ServerProcess, load: SteadyLoad) -> None:
        self._url = server.metrics_url
        self._before = MetricsPage(self._url)
        self._load = load

    async def replies(self, count: int, outcome: int | None = None) -> None:
        await self._load.replies(count, outcome)

    async def breaker(self, *, is_open: bool) -> None:
        """Until Redis is left alone, or asked again."""
        await self.until(lambda page: page.total("cache_breaker_open") == is_open)

    async def skips(self) -> None:
        """Until lookups are left out."""
        await self.until(lambda page: self._grown(page, SKIPPED, "outcome", "skipped"))

    async def errors(self, kind: str, count: int = 1) -> None:
        """Until so many have been counted."""
        await self.until(lambda page: self.num_errors(page, kind) >= count)

    async def recovery(self) -> None:
        """Until Redis is asked again, and answers."""
        await self.breaker(is_open=False)
        await self.replies(60, HIT)

    def page(self) -> MetricsPage:
        return MetricsPage(self._url)

    def num_errors(self, page: MetricsPage, kind: str) -> float:
        return sum(self._grown(page, name, "kind", kind) for name in ERRORS)

    def _grown(self, page: MetricsPage, name: str, label: str, value: str) -> float:
        now, before = (one.values(name, label).get((value,), 0) for one in (page, self._before))
        return now - before

    async def until(self, condition: Callable[[MetricsPage], object]) -> None:
        await self._load.until(self._url, condition)


@asynccontextmanager
async def under_load(server: ServerProcess, expected: Expected) -> AsyncIterator[Outage]:
    async with SteadyLoad(server.target, expected) as load:
        outage = Outage(server, load)
        yield outage
        await load.replies(20)
    log = server.read_log()
    assert server.process.poll() is None
    assert "Traceback" not in log
    assert "a bug" not in log


@contextmanager
def serve_far(store: Path, url: str, *options: str) -> Iterator[ServerProcess]:
    with ServerProcess(store, *EAGER, *FAR_ONLY, "--redis-url", url, *options) as running:
        yield running
    assert running.process.returncode == 0


@pytest.fixture(scope="module")
def server(tiny_store: Path, own_redis: RedisProcess) -> Iterator[ServerProcess]:
    with serve_far(tiny_store, own_redis.url) as running:
        yield running


async def test_redis_is_killed_and_comes_back_empty(
    server: ServerProcess, expected: Expected, redis: RedisProcess
) -> None:
    async with under_load(server, expected) as outage:
        await outage.replies(40, HIT)
        redis.kill()
        await outage.breaker(is_open=True)
        await outage.errors("connection")
        await outage.skips()
        await asyncio.to_thread(redis.start)
        await outage.recovery()


async def test_redis_is_frozen_and_thaws(
    server: ServerProcess, expected: Expected, redis: RedisProcess
) -> None:
    async with under_load(server, expected) as outage:
        await outage.replies(40, HIT)
        redis.freeze()
        await outage.breaker(is_open=True)
        await outage.errors("timeout")
        await outage.skips()
        redis.thaw()
        await outage.recovery()


async def test_redis_is_not_there_at_first(
    tiny_store: Path, expected: Expected, redis: RedisProcess
) -> None:
    redis.kill()
    with serve_far(tiny_store, redis.url) as server:
        async with under_load(server, expected) as outage:
            await outage.breaker(is_open=True)
            assert outage.num_errors(outage.page(), "connection") > 0
            await asyncio.to_thread(redis.start)
            await outage.recovery()


@asynccontextmanager
async def through_proxy(
    store: Path, expected: Expected, redis: RedisProcess
) -> AsyncIterator[tuple[TcpProxy, Outage]]:
    async with TcpProxy(redis.port) as proxy:
        with serve_far(store, f"redis://127.0.0.1:{proxy.port}") as server:
            async with under_load(server, expected) as outage:
                await outage.replies(40, HIT)
                yield proxy, outage


async def test_redis_is_slow(tiny_store: Path, expected: Expected, redis: RedisProcess) -> None:
    async with through_proxy(tiny_store, expected, redis) as (proxy, outage):
        rng = random.Random(2)
        proxy.reply_delay = lambda: rng.choice([0.0, 0.09, 0.1, 0.11])  # around the budget
        await outage.errors("timeout", 3)
        proxy.reply_delay = lambda: 0.5
        await outage.breaker(is_open=True)
        proxy.reply_delay = lambda: 0.0
        await outage.recovery()


async def test_connections_are_cut_in_the_middle_of_replies(
    tiny_store: Path, expected: Expected, redis: RedisProcess
) -> None:
    async with through_proxy(tiny_store, expected, redis) as (proxy, outage):
        rng = random.Random(3)
        for _ in range(40):
            proxy.cut_after = rng.randrange(1, 200)
            await outage.replies(2)
        await outage.errors("connection")
        proxy.cut_after = None
        await outage.recovery()


@pytest.mark.parametrize("policy", ["noeviction", "allkeys-lfu"])
async def test_redis_is_full(
    server: ServerProcess, expected: Expected, redis: RedisProcess, policy: str
) -> None:
    redis.client.config_set("maxmemory-policy", policy)
    async with under_load(server, expected) as outage:
        await outage.replies(20, HIT)
        redis.client.config_set("maxmemory", 1)
        redis.client.flushall()
        await outage.errors("oom")
        await outage.replies(100)
        assert outage.page().total("cache_breaker_open") == 0  # it answers, after all
        redis.client.config_set("maxmemory", 0)
        await outage.recovery()


async def test_what_is_kept_in_a_full_redis_still_answers(
    server: ServerProcess, expected: Expected, redis: RedisProcess
) -> None:
    async with under_load(server, expected) as outage:
        await outage.replies(200)
        redis.client.config_set("maxmemory", 1)
        await outage.replies(100, HIT)
        await outage.errors("oom")


async def test_redis_becomes_a_replica_and_the_address_leads_elsewhere(
    tiny_store: Path, expected: Expected, redis: RedisProcess
) -> None:
    with RedisProcess() as primary:
        async with through_proxy(tiny_store, expected, redis) as (proxy, outage):
            try:
                redis.client.replicaof(HOST, primary.port)
                proxy.server_port = primary.port
                await outage.errors("readonly")
                await outage.until(lambda _page: primary.client.keys("*:reply:*"))
                await outage.recovery()
            finally:
                redis.client.replicaof("NO", "ONE")
            page = outage.page()
            assert find_problems(outage, page) <= {"readonly", *LATE}


async def test_wrong_credentials_that_become_right(
    tiny_store: Path, expected: Expected, redis: RedisProcess
) -> None:
    redis.client.config_set("requirepass", "another")
    try:
        with serve_far(tiny_store, f"redis://:right@127.0.0.1:{redis.port}") as server:
            async with under_load(server, expected) as outage:
                await outage.breaker(is_open=True)
                assert outage.num_errors(outage.page(), "credentials") > 0
                redis.client.config_set("requirepass", "right")
                await outage.recovery()
            assert ":right@" not in server.read_log()
    finally:
        redis.client.config_set("requirepass", "")


@pytest.mark.parametrize("command", ["FLUSHALL", "SCRIPT FLUSH"])
async def test_redis_forgets_all_the_time(
    server: ServerProcess, expected: Expected, redis: RedisProcess, command: str
) -> None:
    async with under_load(server, expected) as outage:
        for _ in range(60):
            redis.client.execute_command(*command.split())
            await outage.replies(3)
        assert find_problems(outage, outage.page()) <= LATE
        await outage.recovery()


def find_problems(outage: Outage, page: MetricsPage) -> set[str]:
    """Return the kinds of errors that were counted."""
    return {kind for kind in PROBLEMS if outage.num_errors(page, kind)}


def entries_of(redis: RedisProcess) -> list[bytes]:
    return [key for key in redis.client.scan_iter() if b":reply:" in key or b":state:" in key]


async def test_entries_are_spoiled(
    server: ServerProcess, expected: Expected, redis: RedisProcess
) -> None:
    rng = random.Random(4)

    def spoil(key: bytes, others: list[bytes]) -> None:
        data = bytearray(redis.client.get(key) or b"?")
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        cut = bytes(data[: rng.randrange(len(data))])
        other = redis.client.get(rng.choice(others)) or b""
        redis.client.set(key, rng.choice([bytes(data), cut, bytes(data) + b"\0", b"", other]))

    async with under_load(server, expected) as outage:
        await outage.replies(40, HIT)
        for _ in range(10):
            keys = entries_of(redis)
            for key in keys:
                spoil(key, keys)
            await outage.replies(10)
        await outage.errors("corrupt", 10)
        assert outage.page().total("cache_breaker_open") == 0
        await outage.recovery()


async def test_entries_change_places(
    server: ServerProcess, expected: Expected, redis: RedisProcess
) -> None:
    rng = random.Random(5)
    async with under_load(server, expected) as outage:
        await outage.replies(40, HIT)
        for _ in range(10):
            found = {key: redis.client.get(key) for key in entries_of(redis)}
            kept = [data for data in found.values() if data is not None]
            redis.client.mset(dict(zip(found, rng.sample(kept, len(kept)), strict=False)))
            await outage.replies(10)
        await outage.errors("corrupt", 10)
        await outage.recovery()


async def test_keys_hold_things_of_another_type(
    server: ServerProcess, expected: Expected, redis: RedisProcess
) -> None:
    async with under_load(server, expected) as outage:
        await outage.replies(40, HIT)
        for _ in range(5):
            for key in redis.client.scan_iter():  # leases and counters, too
                with redis.client.pipeline(transaction=True) as at_once:
                    at_once.delete(key)
                    at_once.rpush(key, "a list")
                    at_once.execute()
            await outage.replies(20)
        await outage.errors("wrongtype")
        assert outage.page().total("cache_breaker_open") == 0
        redis.client.flushall()
        await outage.recovery()


async def test_what_is_near_answers_while_redis_is_gone(
    tiny_store: Path, expected: Expected, redis: RedisProcess
) -> None:
    with serve_far(tiny_store, redis.url, "--cache-bytes", str(MEGABYTE)) as server:
        async with under_load(server, expected) as outage:
            await outage.replies(40, HIT)
            redis.kill()
            await outage.replies(200, HIT)
            await asyncio.to_thread(redis.start)
