"""With --cache-scope caller nobody gets what was kept, or is being made, for somebody else."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from benchmarks.testbed.redis import RedisProcess
from lstmserve.v1 import cache_service_pb2, generation_service_pb2_grpc
from lstmserve.v1 import generation_service_pb2 as pb
from support.calls import LONG, connect
from support.served import Metadata, Served, serve
from support.wire_requests import copy_of, make_request, with_mode

HIT, MISS = pb.CACHE_OUTCOME_HIT, pb.CACHE_OUTCOME_MISS
SCOPED = ("--cache-scope", "caller", "--cache-threshold", "1")
WORDS = "I have been waiting for my parcel since Monday, and nobody tells me where it is. "
NAMES = ("ada", "bob", "Ada", "ada.", "")  # the last one gives no name


@pytest.fixture(scope="module", params=["memory", "redis"])
def scoped(
    request: pytest.FixtureRequest, two_models: Path, shared_redis: RedisProcess
) -> Iterator[tuple[Served, Served]]:
    """A server twice, or two that share what they keep in Redis alone."""
    options = (*SCOPED, "--default-model", "tiny")
    if request.param == "memory":
        with serve(two_models, *options) as served:
            yield served, served
        return
    shared_redis.client.flushall()
    redis = ("--redis-url", shared_redis.url, "--redis-budget-ms", "5000")
    alone = (*options, *redis, "--cache-bytes", "0", "--state-cache-bytes", "0")
    with serve(two_models, *alone) as one, serve(two_models, *alone) as other:
        yield one, other


def of(name: str) -> Metadata:
    return (("x-caller-id", name),) if name else ()


def wait_until_kept(served: Served, request: pb.GenerateRequest, name: str) -> None:
    """A write to Redis is waited for by nobody else."""
    only = with_mode(request, pb.CACHE_MODE_ONLY_IF_CACHED)
    for _ in range(2000):
        try:
            served.ask(only, metadata=of(name))
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise
        else:
            return
    raise AssertionError("never kept")


@pytest.mark.parametrize("sampling", [{"seed": 3}, {"temperature": 0}, {}], ids=str)
def test_replies_are_kept_for_each_caller_alone(
    scoped: tuple[Served, Served], sampling: dict[str, float]
) -> None:
    one, other = scoped
    for name in NAMES:
        request = make_request(f"is it mine, {name} {sampling}?", **sampling)
        kept = one.ask(request, unary=True, metadata=of(name))
        assert kept.outcome == MISS
        wait_until_kept(other, request, name)
        only = with_mode(request, pb.CACHE_MODE_ONLY_IF_CACHED)
        assert other.ask(only, metadata=of(name)) == kept
        for stranger in {*NAMES} - {name}:
            with pytest.raises(grpc.RpcError) as caught:
                other.ask(only, metadata=of(stranger))
            assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_nobody_joins_what_is_made_for_somebody_else(scoped: tuple[Served, Served]) -> None:
    request = copy_of(LONG)
    request.prompt = "is it being made for me?"
    process = scoped[0].process

    def begin(stub: generation_service_pb2_grpc.GenerationServiceStub, name: str) -> int:
        streams.append(stub.Generate(request, metadata=of(name)))
        return next(streams[-1]).started.cache

    streams: list[Iterator[pb.GenerateResponse]] = []
    with connect(process.target, narrow=True) as channel:
        stub = generation_service_pb2_grpc.GenerationServiceStub(channel)
        assert [begin(stub, name) for name in NAMES] == [MISS] * len(NAMES)
        again = [begin(stub, name) for name in NAMES]
        assert again == [pb.CACHE_OUTCOME_COALESCED] * len(NAMES)
        with ThreadPoolExecutor(len(streams)) as pool:
            texts = {*pool.map(lambda stream: "".join(e.chunk.text for e in stream), streams)}
    assert len(texts) == 1


def test_states_are_kept_for_each_caller_alone(scoped: tuple[Served, Served]) -> None:
    one, other = scoped
    prompt = WORDS * 2

    def known(served: Served, name: str, seed: int) -> int:
        return served.ask(make_request(prompt, seed=seed), metadata=of(name)).known_tokens

    for number, name in enumerate(NAMES):
        assert known(one, name, 10 * number) == 0
        assert any(known(other, name, 10 * number + seed) for seed in range(1, 500))


def test_a_purge_of_one_caller_is_no_purge_of_another(scoped: tuple[Served, Served]) -> None:
    one, other = scoped
    one.cache.PurgeCache(cache_service_pb2.PurgeCacheRequest())
    request = make_request("is it purged?", seed=1)
    for name in NAMES:
        one.ask(request, metadata=of(name))
        wait_until_kept(other, request, name)
    for number, name in enumerate(NAMES):
        purged = one.cache.PurgeCache(cache_service_pb2.PurgeCacheRequest(caller=name))
        # the reply, and the state after its prompt
        assert max(purged.memory_entries, purged.redis_entries) == 2
        replies = [one.ask(request, metadata=of(other_name)) for other_name in NAMES]
        kept = [reply.outcome == HIT for reply in replies]
        assert kept == [n != number for n in range(len(NAMES))]
        wait_until_kept(other, request, name)


def test_caches_are_warmed_for_the_caller_who_asks(scoped: tuple[Served, Served]) -> None:
    one, other = scoped
    request = make_request("is it warm?", seed=1)
    unary = pb.GenerateReplyRequest.FromString(request.SerializeToString())
    warm = cache_service_pb2.WarmCacheRequest(request=unary)
    assert one.cache.WarmCache(warm, metadata=of("ada")).generated == 1
    wait_until_kept(other, request, "ada")
    assert one.ask(request, metadata=of("bob")).outcome == MISS
