"""Two servers before a cluster of six, which loses a primary while slots move.

One keeps replies in process as well, the other asks Redis each time.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import pytest

from benchmarks.load.prompts import draw_ranks
from benchmarks.testbed.metrics_page import MetricsPage
from benchmarks.testbed.redis import RedisProcess
from benchmarks.testbed.redis_cluster import (
    RedisCluster,
    find_slots,
    is_replica,
    move_slot,
    open_cluster,
)
from benchmarks.testbed.waiting import until, until_so
from lstmserve.v1 import cache_service_pb2 as admin
from lstmserve.v1 import generation_service_pb2 as pb
from support.served import Served, serve
from support.steady_load import SteadyLoad
from support.whole_reply import WholeReply
from support.wire_requests import make_request, with_mode

HIT = pb.CACHE_OUTCOME_HIT
ONLY = pb.CACHE_MODE_ONLY_IF_CACHED
FAR_ONLY = ("--cache-bytes", "0", "--state-cache-bytes", "0")
# so soon a node is taken for gone
NODE_TIMEOUT_MS = 2000
NUM_QUESTIONS, NUM_ASKED = 60, 400
TAG = "spring"
Expected = list[tuple[pb.GenerateRequest, WholeReply]]


@pytest.fixture(scope="module")
def cluster() -> Iterator[RedisCluster]:
    with open_cluster(3, node_timeout_ms=NODE_TIMEOUT_MS) as opened:
        yield opened


@pytest.fixture(scope="module")
def pair(tiny_store: Path, cluster: RedisCluster) -> Iterator[tuple[Served, Served]]:
    options = ("--cache-threshold", "1", "--redis-url", cluster.url, "--redis-budget-ms", "1000")
    without_states = (*options, "--state-cache-bytes", "0")
    with serve(tiny_store, *without_states) as near, serve(tiny_store, *options, *FAR_ONLY) as far:
        yield near, far


@pytest.fixture(scope="module")
def expected(uncached: Served) -> Expected:
    """What is asked, by Zipf's law, with the replies made without a cache; some have a tag."""
    rng = random.Random(5)
    questions: Expected = []
    for number in range(NUM_QUESTIONS):
        request = make_request(
            f"where is parcel {number}", seed=rng.getrandbits(64), temperature=rng.choice([0, 1.3])
        )
        reply = uncached.ask(request)
        request.cache_tags.extend([TAG] * (number % 3 == 0))
        questions.append((request, reply))
    return [questions[rank] for rank in draw_ranks(NUM_QUESTIONS, 1.0, NUM_ASKED, seed=5)]


async def test_a_primary_is_killed_while_slots_move(
    cluster: RedisCluster, pair: tuple[Served, Served], expected: Expected
) -> None:
    """No call fails, every reply is right, and all is found again; purges reach everything."""
    killed, source, destination = cluster.primaries
    replica = cluster.find_replica(killed)
    async with AsyncExitStack() as stack:
        loads = [
            await stack.enter_async_context(SteadyLoad(served.process.target, expected, callers=4))
            for served in pair
        ]
        for load in loads:
            await load.replies(100, HIT)
        killed.kill()
        moved = await asyncio.to_thread(move_slots, source, destination)
        for load in loads:  # what the others have
            await load.replies(40, HIT)
        await until_so(lambda: not is_replica(replica), "the replica has taken over")
        await asyncio.to_thread(killed.start)
        for load, served in zip(loads, pair, strict=True):
            await load.until(served.process.metrics_url, is_whole)
            await load.replies(100, HIT)
    assert moved
    await asyncio.to_thread(cluster.wait_until_whole)
    assert not any("Traceback" in served.process.read_log() for served in pair)


def test_all_is_found_again_and_purged_everywhere(
    cluster: RedisCluster, pair: tuple[Served, Served], expected: Expected
) -> None:
    """Whichever server is told, and wherever the keys and the purges are by now."""
    near, far = pair
    questions: list[pb.GenerateRequest] = []
    for request, _ in expected:
        if request not in questions:
            questions.append(request)
    tagged = [request for request in questions if request.cache_tags]
    others = [request for request in questions if not request.cache_tags]
    for served in pair:
        for request in questions:
            wait_until_kept(served, request)
    assert len(find_replies(cluster)) == len(questions)
    assert purge(far, tag=TAG).redis_entries >= len(tagged) > 0  # and states of theirs
    assert len(find_replies(cluster)) == len(others)
    until(
        lambda: not any(is_kept(near, request) for request in tagged), "the other one hears of it"
    )
    assert all(is_kept(served, request) for served in pair for request in others)
    assert purge(near).redis_entries >= len(others)
    until(lambda: not any(is_kept(far, request) for request in others), "all is purged")
    assert near.page().total("cache_entries") == 0
    assert not find_replies(cluster)


def move_slots(source: RedisProcess, destination: RedisProcess) -> int:
    """Move all that are in use; return how many that were."""
    slots = find_slots(source)
    for slot in slots:
        move_slot(slot, source, destination)
    return len(slots)


def find_replies(cluster: RedisCluster) -> list[object]:
    return [key for node in cluster.primaries for key in node.client.keys("*:reply:*")]


def wait_until_kept(served: Served, request: pb.GenerateRequest) -> None:
    until(lambda: served.ask(request).outcome == HIT, f"a reply is kept: {request}")


def is_whole(page: MetricsPage) -> bool:
    return page.total("cache_breaker_open") == 0


def purge(served: Served, **which: str) -> admin.PurgeCacheResponse:
    return served.cache.PurgeCache(admin.PurgeCacheRequest(**which))


def is_kept(served: Served, request: pb.GenerateRequest) -> bool:
    try:
        return served.ask(with_mode(request, ONLY)).outcome == HIT
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.NOT_FOUND:
            raise
        return False
