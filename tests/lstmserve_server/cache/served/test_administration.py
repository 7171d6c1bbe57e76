"""CacheService tells the truth, drops what it is told to, and stores what will be asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo

from benchmarks.testbed.redis import RedisProcess
from lstmserve.v1 import cache_service_pb2 as admin
from lstmserve.v1 import generation_service_pb2 as pb
from support.calls import find_detail
from support.served import Served, serve
from support.whole_reply import to_unary
from support.wire_requests import conversation, copy_of, make_request, with_mode

HIT, MISS = pb.CACHE_OUTCOME_HIT, pb.CACHE_OUTCOME_MISS
ONLY = pb.CACHE_MODE_ONLY_IF_CACHED
REPLY, STATE = admin.CACHE_ENTRY_KIND_REPLY, admin.CACHE_ENTRY_KIND_STATE
VARIANTS = 5
MEGABYTES = 4
OPTIONS = (
    *("--default-model", "tiny", "--cache-threshold", "1", "--cache-variants", str(VARIANTS)),
    *("--cache-bytes", str(MEGABYTES << 20)),
)
PASSWORD = "a-secret"


@pytest.fixture(scope="module")
def locked_redis() -> Iterator[RedisProcess]:
    with RedisProcess(password=PASSWORD) as running:
        running.client.config_set("maxmemory", 64 << 20)
        running.client.config_set("maxmemory-policy", "allkeys-lfu")
        yield running


@pytest.fixture(scope="module")
def running(two_models: Path) -> Iterator[Served]:
    """One that others may have used."""
    with serve(two_models, *OPTIONS) as shared:
        yield shared


def stats(served: Served) -> admin.GetCacheStatsResponse:
    return served.cache.GetCacheStats(admin.GetCacheStatsRequest())


def store_of(
    found: admin.GetCacheStatsResponse, store: str, kind: int = REPLY
) -> admin.CacheStoreStats:
    (one,) = [item for item in found.stores if (item.store, item.kind) == (store, kind)]
    return one


def purge(served: Served, **which: str) -> tuple[int, int]:
    purged = served.cache.PurgeCache(admin.PurgeCacheRequest(**which))
    return purged.memory_entries, purged.redis_entries


def warm(served: Served, request: pb.GenerateRequest) -> tuple[int, int]:
    warmed = served.cache.WarmCache(admin.WarmCacheRequest(request=to_unary(request)))
    return warmed.generated, warmed.already_stored


def is_kept(served: Served, request: pb.GenerateRequest) -> bool:
    try:
        return served.ask(with_mode(request, ONLY)).outcome == HIT
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.NOT_FOUND:
            raise
        return False


def test_figures_are_those_of_what_was_done(running: Served) -> None:
    purge(running)
    before = stats(running)
    assert before.enabled
    assert (before.threshold, before.variants) == (1, VARIANTS)
    assert not before.HasField("redis")
    requests = [make_request(f"question {n}", seed=n) for n in range(3)]
    for request in requests * 4:
        running.ask(request)
    running.ask(with_mode(requests[0], pb.CACHE_MODE_BYPASS))
    found = stats(running)
    assert changes(before, found) == {"hits": 9, "misses": 3, "stored": 3, "entries": 3}
    replies = store_of(found, "memory")
    assert 0 < replies.bytes < replies.max_bytes == MEGABYTES << 20
    assert found.coalesced_requests == before.coalesced_requests
    assert found.saved_seconds > before.saved_seconds
    assert purge(running)[0] >= 3
    after = stats(running)
    assert changes(found, after) == {"evicted": 3, "entries": -3}
    assert store_of(after, "memory").bytes == 0


def changes(
    before: admin.GetCacheStatsResponse, after: admin.GetCacheStatsResponse
) -> dict[str, int]:
    """What is not as it was about the replies in memory."""
    names = ("hits", "misses", "failures", "stored", "evicted", "entries")
    one, other = (store_of(found, "memory") for found in (before, after))
    changed = {name: getattr(other, name) - getattr(one, name) for name in names}
    return {name: change for name, change in changed.items() if change}


@pytest.fixture(scope="module")
def small(tiny_store: Path) -> Iterator[Served]:
    """One that keeps a few dozen replies and two or three states."""
    room = ("--cache-bytes", "20000", "--state-cache-bytes", "4000")
    with serve(tiny_store, "--cache-threshold", "1", *room) as tight:
        yield tight


def test_a_cache_that_is_full_stays_within_its_bytes(small: Served, uncached: Served) -> None:
    prompt = "my lamp is broken and I want to return it, order {}"
    requests = [make_request(prompt.format(n), seed=n, max_tokens=4) for n in range(150)]
    before = [found.stored for found in stats(small).stores]
    outcomes = {small.ask(request).outcome for request in requests}
    assert outcomes == {MISS}
    for found, stored in zip(stats(small).stores, before, strict=True):
        assert 0 < found.bytes <= found.max_bytes
        assert 0 < found.entries < found.stored - stored == 150
    for request in requests[::5]:
        assert small.ask(request) == uncached.ask(request)
    num_entries = sum(found.entries for found in stats(small).stores)
    assert purge(small)[0] == num_entries
    assert sum(found.entries for found in stats(small).stores) == 0


def test_figures_of_redis_and_its_absence(two_models: Path, locked_redis: RedisProcess) -> None:
    redis = ("--redis-url", locked_redis.url, "--redis-budget-ms", "5000")
    with serve(two_models, *OPTIONS, *redis) as served:
        request = make_request("where is it kept?", seed=1)
        served.ask(request)
        written = (store_of(stats(served), "redis") for _ in range(2000))
        replies = next(item for item in written if item.stored)
        assert (replies.hits, replies.misses, replies.failures, replies.stored) == (0, 1, 0, 1)
        found = stats(served).redis
        assert found.address == f"redis://127.0.0.1:{locked_redis.port}/0"
        assert found.available
        assert found.used_bytes > 0
        assert (found.max_bytes, found.eviction_policy) == (64 << 20, "allkeys-lfu")
        assert is_kept(served, request)
        locked_redis.kill()
        gone = stats(served)
        assert (gone.redis.available, gone.redis.address) == (False, found.address)
        with pytest.raises(grpc.RpcError) as caught:
            purge(served)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert find_detail(caught.value, ErrorInfo).reason == "CACHE_UNAVAILABLE"
        assert PASSWORD not in str(caught.value)
        # what is here is gone all the same
        assert not is_kept(served, request)
        assert warm(served, request) == (1, 0)
        assert is_kept(served, request)
        log = served.process.read_log()
    assert PASSWORD not in log
    assert "Traceback" not in log
    locked_redis.start()


def test_a_purge_drops_what_all_its_words_fit_and_nothing_else(running: Served) -> None:
    purge(running)
    tiny = [make_request(f"purge {n}", seed=n) for n in range(3)]
    others = [copy_of(request) for request in tiny[:2]]
    for request in others:
        request.model = "other"
    for request in (*tiny, *others):
        running.ask(request)
    selections: list[tuple[dict[str, str], int]] = [
        ({"model": "nobody"}, 0),
        ({"model": ""}, 0),
        ({"model": "*"}, 0),
        ({"model_version": "2"}, 0),
        ({"model": "tiny", "model_version": "2"}, 0),
        # of each request a reply, and the state after its prompt
        ({"model": "other", "model_version": "1"}, 2 * 2),
        ({"model": "other"}, 0),
        ({"model_version": "1"}, 2 * 3),
        ({}, 0),
    ]
    for which, count in selections:
        assert purge(running, **which) == (count, 0), which
    assert not any(is_kept(running, request) for request in (*tiny, *others))


def test_what_is_kept_is_found_and_purged_by_its_tags(running: Served) -> None:
    purge(running)
    request = make_request("is there an offer?", seed=5)
    tagged = [copy_of(request) for _ in range(3)]
    for each, tags in zip(tagged, ("shop spring", "spring shop", "spring"), strict=True):
        each.cache_tags.extend(tags.split())
    outcomes = [running.ask(each).outcome for each in (request, *tagged)]
    assert outcomes == [MISS, MISS, HIT, MISS]  # in any order they are the same
    assert len({running.ask(each).text for each in (request, *tagged)}) == 1
    assert purge(running, tag="spr") == (0, 0)
    assert purge(running, tag="shop") == (2, 0)  # the reply, and the state after its prompt
    assert [is_kept(running, each) for each in (request, *tagged)] == [True, False, False, True]
    assert purge(running, tag="spring", model="tiny") == (2, 0)
    assert is_kept(running, request)


@pytest.mark.parametrize(
    ("tags", "field", "reason"),
    [
        (["a", "a"], "cache_tags", "must be different from each other"),
        ([str(number) for number in range(9)], "cache_tags", "must be at most 8, not 9"),
        (["a", ""], "cache_tags[1]", "from 1 to 64 characters, not 0"),
        (["a" * 65], "cache_tags[0]", "from 1 to 64 characters, not 65"),
    ],
)
def test_bad_tags_are_refused(running: Served, tags: list[str], field: str, reason: str) -> None:
    request = make_request("hello")
    request.cache_tags.extend(tags)
    with pytest.raises(grpc.RpcError) as caught:
        running.ask(request)
    (violation,) = find_detail(caught.value, BadRequest).field_violations
    assert violation.field == field
    assert reason in violation.description


def test_a_purge_drops_states_too(running: Served) -> None:
    purge(running)
    prompt = "my lamp is broken and I want to return it. " * 3
    running.ask(make_request(prompt, seed=1))
    states = store_of(stats(running), "memory", STATE)
    assert states.entries > 0
    assert purge(running)[0] == states.entries + 1
    assert running.ask(make_request(prompt, seed=2)).known_tokens == 0


def test_warming_stores_every_reply_that_may_be_given(running: Served, uncached: Served) -> None:
    request = make_request("is it warm?", temperature=1.5)
    assert warm(running, request) == (VARIANTS, 0)
    assert warm(running, request) == (0, VARIANTS)
    replies = [running.ask(request) for _ in range(30)]
    assert {reply.outcome for reply in replies} == {HIT}
    assert len({reply.seed for reply in replies}) > 1
    for reply in {*replies}:
        assert uncached.ask(make_request("is it warm?", temperature=1.5, seed=reply.seed)) == reply


def test_warming_fills_up_what_is_missing(running: Served) -> None:
    request = make_request("is it half warm?", temperature=1.5)
    running.ask(request)
    assert warm(running, request) == (VARIANTS - 1, 1)


@pytest.mark.parametrize("sampling", [{"seed": 3}, {"temperature": 0}], ids=["seeded", "greedy"])
def test_warming_stores_the_one_reply_there_is(
    running: Served, uncached: Served, sampling: dict[str, float]
) -> None:
    request = pb.GenerateRequest(
        conversation=conversation("hello", "hi", "is it warm?"),
        sampling=pb.SamplingParams(logprobs=2, **sampling),  # type: ignore[arg-type]  # by name
        cache_mode=pb.CACHE_MODE_BYPASS,  # means nothing there
    )
    assert [warm(running, request) for _ in range(2)] == [(1, 0), (0, 1)]
    reply = running.ask(with_mode(request, ONLY))
    assert reply == uncached.ask(request)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (make_request(" "), "prompt"),
        (make_request(temperature=9.0), "sampling.temperature"),
        (make_request(stops=[""]), "stopping.stop_sequences[0]"),
        (pb.GenerateRequest(), "input"),
    ],
    ids=["prompt", "temperature", "stop", "nothing"],
)
def test_what_cannot_be_warmed_is_named(
    running: Served, request_: pb.GenerateRequest, field: str
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        warm(running, request_)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    (violation,) = find_detail(caught.value, BadRequest).field_violations
    assert violation.field.removeprefix("request.") == field


def test_models_that_are_not_there_cannot_be_warmed(running: Served) -> None:
    request = make_request()
    request.model = "nobody"
    with pytest.raises(grpc.RpcError) as caught:
        warm(running, request)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_a_caller_cannot_be_purged_where_callers_share(running: Served) -> None:
    for caller in ("ada", ""):
        with pytest.raises(grpc.RpcError) as caught:
            purge(running, caller=caller)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        (violation,) = find_detail(caught.value, BadRequest).field_violations
        assert violation.field == "caller"


def test_bad_metadata_is_refused_here_too(running: Served) -> None:
    calls: list[tuple[Any, Any]] = [
        (running.cache.GetCacheStats, admin.GetCacheStatsRequest()),
        (running.cache.PurgeCache, admin.PurgeCacheRequest()),
    ]
    for call, request in calls:
        with pytest.raises(grpc.RpcError) as caught:
            call(request, metadata=(("x-caller-id", "not an id!"),))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_without_a_cache_everything_answers_and_says_so(uncached: Served) -> None:
    request = make_request("is there a cache?", seed=1)
    assert [uncached.ask(request).outcome for _ in range(3)] == [pb.CACHE_OUTCOME_BYPASS] * 3
    assert uncached.ask(with_mode(request, pb.CACHE_MODE_REFRESH)).outcome == (
        pb.CACHE_OUTCOME_BYPASS
    )
    assert not is_kept(uncached, request)
    found = stats(uncached)
    assert not found.enabled
    assert not found.HasField("redis")
    assert all(store.stored == store.entries == store.hits == 0 for store in found.stores)
    assert purge(uncached) == (0, 0)


def test_without_a_cache_nothing_is_said_to_be_stored(uncached: Served) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        warm(uncached, make_request("is it stored?", temperature=1.5))
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert "keeps no replies" in caught.value.details()


def test_a_field_of_what_cannot_be_warmed_is_named_by_its_whole_path(running: Served) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        warm(running, make_request(temperature=9.0))
    (violation,) = find_detail(caught.value, BadRequest).field_violations
    assert violation.field == "request.sampling.temperature"


def test_what_is_stored_is_held_or_evicted(small: Served) -> None:
    for number in range(200):
        small.ask(make_request(f"order {number}", seed=number, max_tokens=4))
    replies = store_of(stats(small), "memory")
    assert replies.stored - replies.evicted == replies.entries
