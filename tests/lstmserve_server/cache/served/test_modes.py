"""What each cache mode does, and how often a reply must be asked for before it is kept."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo

from benchmarks.testbed.redis import RedisProcess
from lstmserve.v1 import generation_service_pb2 as pb
from support.calls import find_detail
from support.served import Served, serve
from support.wire_requests import make_request, with_mode

DEFAULT = pb.CACHE_MODE_UNSPECIFIED
BYPASS = pb.CACHE_MODE_BYPASS
REFRESH = pb.CACHE_MODE_REFRESH
ONLY = pb.CACHE_MODE_ONLY_IF_CACHED
HIT, MISS, NOT_ASKED = pb.CACHE_OUTCOME_HIT, pb.CACHE_OUTCOME_MISS, pb.CACHE_OUTCOME_BYPASS
THRESHOLD = 3
VARIANTS = 4
OPTIONS = ("--cache-threshold", str(THRESHOLD), "--cache-variants", str(VARIANTS))


@pytest.fixture(scope="module", params=["memory", "redis", "redis alone"])
def served(
    request: pytest.FixtureRequest, tiny_store: Path, shared_redis: RedisProcess
) -> Iterator[Served]:
    """The rules are the same wherever replies are kept."""
    shared_redis.client.flushall()
    redis = ("--redis-url", shared_redis.url, "--redis-budget-ms", "5000")
    stores = {"memory": (), "redis": redis, "redis alone": (*redis, "--cache-bytes", "0")}
    with serve(tiny_store, *OPTIONS, *stores[request.param]) as running:
        yield running


def outcome(served: Served, request: pb.GenerateRequest, mode: pb.CacheMode = DEFAULT) -> int:
    return served.ask(with_mode(request, mode)).outcome


def is_kept(served: Served, request: pb.GenerateRequest) -> bool:
    """Whether a caller who takes nothing else gets it; that counts as having asked."""
    try:
        return outcome(served, request, ONLY) == HIT
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.NOT_FOUND:
            raise
        return False


def wait_for_write(served: Served, request: pb.GenerateRequest) -> None:
    """Until a reply that is about to be written to Redis can be had."""
    assert any(is_kept(served, request) for _ in range(2000))


def settle(served: Served) -> None:
    """Until all that was to be written is: writes are made in order."""
    marker = make_request(f"marker {time.monotonic_ns()}", seed=1, mode=REFRESH)
    served.ask(marker)
    wait_for_write(served, marker)


@pytest.mark.parametrize("unary", [False, True], ids=["streamed", "unary"])
@pytest.mark.parametrize("sampling", [{"seed": 3}, {"temperature": 0}], ids=["seeded", "greedy"])
def test_the_asking_that_reaches_the_threshold_is_kept(
    served: Served, sampling: dict[str, float], *, unary: bool
) -> None:
    request = make_request(f"is it frequent, {unary}?", **sampling)
    replies = [served.ask(request, unary=unary) for _ in range(THRESHOLD)]
    assert [reply.outcome for reply in replies] == [MISS] * THRESHOLD
    wait_for_write(served, request)
    again = served.ask(request, unary=not unary)
    assert again.outcome == HIT
    assert {*replies, again} == {again}


def test_one_asking_less_is_not_kept(served: Served) -> None:
    request = make_request("is it rare?", seed=3)
    for _ in range(THRESHOLD - 1):
        assert outcome(served, request) == MISS
    settle(served)
    assert not is_kept(served, request)


def test_bypass_counts_nothing_and_keeps_nothing(served: Served) -> None:
    request = make_request("does it count?", seed=3)
    for _ in range(THRESHOLD + 2):
        assert outcome(served, request, BYPASS) == NOT_ASKED
    assert not is_kept(served, request)  # the first that counts
    for _ in range(THRESHOLD - 2):
        assert outcome(served, request) == MISS
    settle(served)
    assert not is_kept(served, request)


def test_bypass_reads_nothing(served: Served) -> None:
    request = make_request("is it read?", seed=3, logprobs=2)
    kept = served.ask(with_mode(request, REFRESH))
    wait_for_write(served, request)
    before = served.page().values("cache_lookups_total", "store", "outcome")
    fresh = served.ask(with_mode(request, BYPASS))
    assert fresh.outcome == NOT_ASKED
    assert fresh == kept
    assert served.page().values("cache_lookups_total", "store", "outcome") == before


def test_bypass_does_not_join_what_is_in_flight(served: Served) -> None:
    request = make_request("is it joined?", seed=3, max_tokens=200, min_tokens=200)
    before = served.page().total("cache_coalesced_requests_total")
    with ThreadPoolExecutor(8) as pool:
        replies = [*pool.map(served.ask, [with_mode(request, BYPASS)] * 8)]
    assert {reply.outcome for reply in replies} == {NOT_ASKED}
    assert len({*replies}) == 1
    assert served.page().total("cache_coalesced_requests_total") == before


def test_refresh_keeps_at_once_and_generates_every_time(served: Served) -> None:
    request = make_request("is it fresh?", seed=3)
    for _ in range(2):
        assert outcome(served, request, REFRESH) == MISS
    wait_for_write(served, request)
    assert outcome(served, request) == HIT


def test_only_if_cached_fails_with_a_reason_and_generates_nothing(served: Served) -> None:
    request = make_request("is it there?", seed=3, mode=ONLY)
    before = served.page_once_idle().total("generated_tokens_total")
    for unary in (False, True):
        with pytest.raises(grpc.RpcError) as caught:
            served.ask(request, unary=unary)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        info = find_detail(caught.value, ErrorInfo)
        assert (info.reason, info.domain) == ("NOT_CACHED", "lstmserve")
    assert served.page_once_idle().total("generated_tokens_total") == before


def test_only_if_cached_does_not_join_what_is_in_flight_but_may_find_it_later(
    served: Served,
) -> None:
    request = make_request("is it ready?", seed=3, max_tokens=300, min_tokens=300)
    stream = iter(served.generation.Generate(with_mode(request, REFRESH)))
    next(stream)
    assert not is_kept(served, request)
    assert sum(len(event.chunk.token_ids) for event in stream) == 300
    wait_for_write(served, request)


def test_without_a_seed_there_are_so_many_replies_and_no_more(served: Served) -> None:
    request = make_request("how many are there?", temperature=1.5)
    replies = [served.ask(request, unary=n % 2 == 0) for n in range(60)]
    assert len({reply.seed for reply in replies}) == VARIANTS
    assert sum(reply.outcome == HIT for reply in replies) > 30
    for reply in {*replies}:
        own = make_request("how many are there?", temperature=1.5, seed=reply.seed)
        assert served.ask(own) == reply
        assert served.ask(with_mode(own, BYPASS)) == reply


def test_without_a_seed_all_variants_count_together(served: Served) -> None:
    request = make_request("do they count together?", temperature=1.5)
    for _ in range(THRESHOLD):
        assert outcome(served, request) == MISS
    # whichever variant was the last is kept
    wait_for_write(served, request)


def test_without_a_seed_bypass_draws_a_fresh_one(served: Served) -> None:
    request = make_request("is it fresh?", temperature=1.5)
    seeds = {served.ask(with_mode(request, BYPASS)).seed for _ in range(12)}
    assert len(seeds) == 12


def test_without_a_seed_only_if_cached_finds_any(served: Served) -> None:
    request = make_request("is any there?", temperature=1.5)
    kept = served.ask(with_mode(request, REFRESH))
    wait_for_write(served, request)
    for _ in range(12):
        found = served.ask(with_mode(request, ONLY))
        assert found == kept
        assert found.outcome == HIT


def test_what_a_seed_was_told_for_is_found_by_that_seed(served: Served) -> None:
    request = make_request("is it found again?", temperature=1.5)
    kept = served.ask(with_mode(request, REFRESH))
    own = make_request("is it found again?", temperature=1.5, seed=kept.seed)
    wait_for_write(served, own)
    assert served.ask(own) == kept


def test_without_a_seed_a_search_counts_as_one_asking(served: Served) -> None:
    request = make_request("does a search count once?", temperature=1.5)
    assert not is_kept(served, request)  # one
    assert outcome(served, request) == MISS  # two
    settle(served)
    assert not is_kept(served, request)
