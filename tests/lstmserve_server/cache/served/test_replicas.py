"""Several servers with one Redis: what one keeps another finds, and none needs the others."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from benchmarks.testbed.redis import RedisProcess
from lstmserve.v1 import cache_service_pb2
from lstmserve.v1 import generation_service_pb2 as pb
from support.served import Served, serve
from support.wire_requests import make_request, random_requests, with_mode

HIT, MISS = pb.CACHE_OUTCOME_HIT, pb.CACHE_OUTCOME_MISS
ONLY = pb.CACHE_MODE_ONLY_IF_CACHED
MAX_TRIES = 2000


def options(redis: RedisProcess) -> tuple[str, ...]:
    shared = ("--redis-url", redis.url, "--redis-budget-ms", "5000")
    return ("--default-model", "tiny", "--cache-threshold", "2", *shared)


@pytest.fixture(scope="module")
def replicas(two_models: Path, shared_redis: RedisProcess) -> Iterator[tuple[Served, Served]]:
    shared_redis.client.flushall()
    arguments = options(shared_redis)
    with serve(two_models, *arguments) as one, serve(two_models, *arguments) as other:
        yield one, other


def is_kept(served: Served, request: pb.GenerateRequest) -> bool:
    try:
        served.ask(with_mode(request, ONLY))
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.NOT_FOUND:
            raise
        return False
    return True


def wait_until_kept(served: Served, request: pb.GenerateRequest) -> None:
    """A write to Redis is waited for by nobody else."""
    assert any(is_kept(served, request) for _ in range(MAX_TRIES))


def test_what_one_keeps_the_other_has_bit_for_bit(
    replicas: tuple[Served, Served], uncached: Served
) -> None:
    one, other = replicas
    requests = random_requests(random.Random(31), 40)
    for request in requests:
        one.ask(with_mode(request, pb.CACHE_MODE_REFRESH))
    for number, request in enumerate(requests):
        wait_until_kept(other, request)
        reply = other.ask(request, unary=number % 2 == 0)
        assert reply.outcome == HIT
        assert reply == uncached.ask(request)


def test_askings_of_both_count_together(replicas: tuple[Served, Served]) -> None:
    request = make_request("do they count together?", seed=1)
    assert [served.ask(request).outcome for served in replicas] == [MISS, MISS]
    wait_until_kept(replicas[0], request)


def test_both_under_a_stampede_agree_on_every_bit(
    replicas: tuple[Served, Served], uncached: Served
) -> None:
    rng = random.Random(32)
    requests = random_requests(rng, 50)
    asked = [(server, n, rng.random() < 0.5) for n in range(50) for server in (0, 1)] * 4
    rng.shuffle(asked)
    with ThreadPoolExecutor(24) as pool:
        expected = [*pool.map(uncached.ask, requests)]
        replies = [*pool.map(lambda a: replicas[a[0]].ask(requests[a[1]], unary=a[2]), asked)]
    assert all(reply == expected[n] for (_, n, _), reply in zip(asked, replies, strict=True))
    assert sum(reply.outcome != MISS for reply in replies) > len(replies) // 2


def test_without_a_seed_both_draw_from_the_same_variants(replicas: tuple[Served, Served]) -> None:
    request = make_request("the same variants?", temperature=1.5)
    replies = [replicas[n % 2].ask(request) for n in range(120)]
    by_seed = {reply.seed: reply for reply in replies}
    assert len(by_seed) == 8
    assert all(reply == by_seed[reply.seed] for reply in replies)


def test_a_purge_on_one_empties_the_others_memory(
    replicas: tuple[Served, Served], shared_redis: RedisProcess
) -> None:
    one, other = replicas
    request = make_request("is it purged?", seed=1)
    one.ask(with_mode(request, pb.CACHE_MODE_REFRESH))
    wait_until_kept(other, request)
    assert other.page().total("cache_entries") > 0
    purged = one.cache.PurgeCache(cache_service_pb2.PurgeCacheRequest())
    assert purged.memory_entries > 0
    assert purged.redis_entries > 0
    assert any(other.page().total("cache_entries") == 0 for _ in range(MAX_TRIES))
    assert not any(b":reply:" in key for key in shared_redis.client.scan_iter())
    assert one.page().total("cache_entries") == 0
    assert not is_kept(other, request)


def test_a_purge_of_one_model_leaves_the_other_models_on_both(
    replicas: tuple[Served, Served],
) -> None:
    one, other = replicas
    requests = [make_request("which model is purged?", seed=1) for _ in range(2)]
    requests[1].model = "other"
    for request in requests:
        one.ask(with_mode(request, pb.CACHE_MODE_REFRESH))
        wait_until_kept(other, request)
    one.cache.PurgeCache(cache_service_pb2.PurgeCacheRequest(model="other"))
    assert any(not is_kept(other, requests[1]) for _ in range(MAX_TRIES))
    assert [is_kept(served, requests[0]) for served in replicas] == [True, True]


def test_the_other_one_loses_nothing_when_one_is_killed(
    two_models: Path, replicas: tuple[Served, Served], uncached: Served, shared_redis: RedisProcess
) -> None:
    _, survivor = replicas
    requests = random_requests(random.Random(33), 60)
    expected = [uncached.ask(request) for request in requests]
    is_killed = threading.Event()
    with serve(two_models, *options(shared_redis)) as doomed:

        def ask_doomed(number: int) -> None:
            try:
                while True:
                    assert doomed.ask(requests[number % 60]) == expected[number % 60]
            except grpc.RpcError as error:
                assert is_killed.wait(60), error  # noqa: PT017 - it must not fail before

        def ask_survivor(number: int) -> bool:
            if number == 30:  # in the middle of everything
                doomed.process.process.kill()
                is_killed.set()
            reply = survivor.ask(requests[number % 60], unary=number % 2 == 0)
            return reply == expected[number % 60]

        with ThreadPoolExecutor(16) as pool:
            dying = [pool.submit(ask_doomed, number) for number in range(6)]
            assert all(pool.map(ask_survivor, range(240)))
            assert [future.result() for future in dying] == [None] * 6
    assert {survivor.ask(request).outcome for request in requests} == {HIT}


def test_who_looks_and_makes_nothing_keeps_nobody_waiting(
    replicas: tuple[Served, Served], shared_redis: RedisProcess
) -> None:
    request = make_request("is it leased?", seed=1)
    assert [is_kept(replicas[0], request) for _ in range(2)] == [False, False]
    # with a lease the other one waits out its budget for what nobody makes
    assert not [key for key in shared_redis.client.scan_iter() if b":lease:" in key]
