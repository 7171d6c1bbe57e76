"""What both clients do with the reply cache; every test runs with each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.rpc import error_details_pb2 as details

from lstmserve.v1 import cache_service_pb2 as cache_pb
from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_client import (
    CacheEntryKind,
    CachePurged,
    CacheStats,
    CacheStoreStats,
    CacheWarmed,
    InvalidRequestError,
    ModelNotFoundError,
    NotCachedError,
    RedisStats,
    SamplingParams,
    StoppingCriteria,
    Turn,
    UnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.fake_server import FakeServer

MB = 1 << 20
MEMORY = CacheStoreStats("memory", CacheEntryKind.REPLY, 1500, 500, 0, 7, 2, 3210, 53 * MB, 64 * MB)
REDIS = CacheStoreStats("redis", CacheEntryKind.STATE, 1, 2, 5, 0, 0, 0, 0, 0)


def test_stats_are_told_whole(call: Callable[..., Any]) -> None:
    server = RedisStats("127.0.0.1:6379", True, MB * 3 // 2, 1024 * MB, "allkeys-lfu")
    assert call("cache_stats") == CacheStats(True, (MEMORY, REDIS), server, 17, 1234.5, 2, 8)


def test_a_failed_lookup_is_no_hit() -> None:
    assert (MEMORY.hit_ratio, REDIS.hit_ratio) == (0.75, 0.125)


def test_before_the_first_lookup_there_is_no_hit_ratio(
    call: Callable[..., Any], fake: FakeServer
) -> None:
    fake.cache_stats.stores[0].CopyFrom(cache_pb.CacheStoreStats(store="memory", kind=99))
    store = call("cache_stats").stores[0]
    assert (store.hit_ratio, store.kind) == (None, CacheEntryKind.UNKNOWN)


def test_a_server_without_a_cache_or_redis_says_so(
    call: Callable[..., Any], fake: FakeServer
) -> None:
    fake.cache_stats = cache_pb.GetCacheStatsResponse()
    assert call("cache_stats") == CacheStats(False, (), None, 0, 0.0, 0, 0)


@pytest.mark.parametrize(
    "selection",
    [
        {},
        {"model": "a"},
        {"caller": ""},
        {"model": "a", "model_version": "2", "caller": "bob", "tag": "spring"},
    ],
    ids=str,
)
def test_a_purge_names_what_was_asked_and_nothing_else(
    call: Callable[..., Any], fake: FakeServer, selection: dict[str, str]
) -> None:
    assert call("purge_cache", **selection) == CachePurged(1200, 34)
    named = {field.name: value for field, value in fake.purges[0].ListFields()}
    assert named == selection


def test_warming_sends_the_request_as_callers_will(
    call: Callable[..., Any], fake: FakeServer
) -> None:
    result = call(
        "warm_cache",
        [Turn("user", "hi")],
        model="support-en",
        sampling=SamplingParams(temperature=0.0),
        stopping=StoppingCriteria(max_tokens=8),
    )
    assert result == CacheWarmed(generated=3, already_stored=5)
    assert fake.warmed == [
        pb.GenerateReplyRequest(
            model="support-en",
            conversation=pb.Conversation(turns=[pb.Turn(role=pb.ROLE_USER, text="hi")]),
            sampling=pb.SamplingParams(temperature=0.0),
            stopping=pb.StoppingCriteria(max_tokens=8),
            priority=pb.PRIORITY_NORMAL,
        )
    ]


@pytest.mark.parametrize(
    ("method", "arguments", "field"),
    [
        ("warm_cache", {"prompt": "hi", "sampling": SamplingParams(seed=-1)}, "sampling.seed"),
        ("purge_cache", {"caller": "\udcff"}, "caller"),
    ],
)
def test_what_the_wire_cannot_carry_is_refused_by_name(
    call: Callable[..., Any],
    fake: FakeServer,
    method: str,
    arguments: dict[str, Any],
    field: str,
) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        call(method, **arguments)
    assert [each.field for each in raised.value.violations] == [field]
    assert fake.warmed == fake.purges == []


@pytest.mark.parametrize("method", ["generate", "reply"])
def test_a_reply_that_is_not_cached_is_no_missing_model(
    call: Callable[..., Any], fake: FakeServer, method: str
) -> None:
    fake.events = []
    for reason, kind in (("NOT_CACHED", NotCachedError), ("MODEL_NOT_FOUND", ModelNotFoundError)):
        request = details.RequestInfo(request_id="req-3")
        fake.fail(grpc.StatusCode.NOT_FOUND, "none", details.ErrorInfo(reason=reason), request)
        with pytest.raises(kind) as raised:
            call(method, "hi", cache_mode="only_if_cached")
        assert type(raised.value) is kind
        assert (raised.value.reason, raised.value.request_id) == (reason, "req-3")


@pytest.mark.parametrize(
    ("method", "arguments"),
    [("cache_stats", []), ("purge_cache", []), ("warm_cache", ["hi"])],
    ids=str,
)
def test_every_method_says_that_there_is_no_server(
    call: Callable[..., Any],
    fake: FakeServer,
    dead_target: str,
    method: str,
    arguments: list[str],
) -> None:
    fake.target = dead_target
    with pytest.raises(UnavailableError):
        call(method, *arguments)
