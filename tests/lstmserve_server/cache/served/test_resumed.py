"""A stream that broke goes on with the rest of the same reply, wherever the beginning came from."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo

from lstmserve.v1 import generation_service_pb2 as pb
from support.calls import find_detail
from support.resumption import Received, receive, resume
from support.served import Served, serve
from support.wire_requests import conversation, make_request, with_mode

HIT, MISS = pb.CACHE_OUTCOME_HIT, pb.CACHE_OUTCOME_MISS
REFRESH = pb.CACHE_MODE_REFRESH
REQUESTS = {
    "sampled": make_request("包裹到了吗 🚚", seed=6, temperature=1.5, min_tokens=20, logprobs=2),
    "greedy": make_request("my lamp is broken 😡", temperature=0, logprobs=0),
    "stopped": make_request("thanks 👍", seed=4, temperature=1.5, stops=["e", "。", "zz"]),
    "penalties": make_request("你好", seed=5, frequency_penalty=1.0, logit_bias={9: 3.0}),
    "conversation": pb.GenerateRequest(
        conversation=conversation("hello", "您好", "where is my parcel?"),
        sampling=pb.SamplingParams(temperature=1.2, seed=2**64 - 1),
    ),
}


@pytest.fixture(scope="module")
def rare(tiny_store: Path) -> Iterator[Served]:
    """A server that keeps nothing that is asked for so seldom."""
    with serve(tiny_store, "--cache-threshold", "100") as served:
        yield served


def rest_of(served: Served, request: pb.GenerateRequest, whole: Received, cut: int) -> Received:
    return receive(served.generation.Generate(resume(request, whole.token_ids[:cut], whole.seed)))


def check_cuts(served: Served, uncached: Served, request: pb.GenerateRequest) -> None:
    """What follows every token is what follows it without a cache."""
    whole = receive(uncached.generation.Generate(request))
    assert len(whole.token_ids) > 1
    for cut in range(1, len(whole.token_ids)):
        found, expected = (rest_of(one, request, whole, cut) for one in (served, uncached))
        assert (found.error, expected.error) == (None, None)
        assert found.token_ids == whole.token_ids[cut:]
        assert found.logprobs == whole.logprobs[cut:]
        assert found.end == expected.end == whole.end
        assert found.text == expected.text


@pytest.mark.parametrize("name", REQUESTS)
def test_a_hit_goes_on_after_every_token(cached: Served, uncached: Served, name: str) -> None:
    request = REQUESTS[name]
    cached.ask(with_mode(request, REFRESH))
    check_cuts(cached, uncached, request)
    assert cached.ask(request).outcome == HIT


@pytest.mark.parametrize("name", REQUESTS)
def test_a_miss_goes_on_after_every_token(rare: Served, uncached: Served, name: str) -> None:
    check_cuts(rare, uncached, REQUESTS[name])


def test_a_hit_that_is_resumed_says_so_and_costs_the_model_nothing(cached: Served) -> None:
    request = REQUESTS["sampled"]
    whole = cached.ask(with_mode(request, REFRESH))
    made = cached.page_once_idle().values("generated_tokens_total", "source")["model",]
    rest = cached.ask(resume(request, whole.token_ids[:5], whole.seed))
    assert rest.outcome == HIT
    assert rest.generated_tokens == whole.generated_tokens
    assert cached.page_once_idle().values("generated_tokens_total", "source")["model",] == made


def test_a_coalesced_stream_goes_on_after_any_token(rare: Served, uncached: Served) -> None:
    request = make_request("coalesced?", seed=8, max_tokens=300, min_tokens=300, logprobs=1)
    whole = receive(uncached.generation.Generate(request))

    def cut_and_resume(cut: int) -> int:
        stream = rare.generation.Generate(request)
        received = receive(islice(stream, cut))
        stream.cancel()
        had = len(received.token_ids)
        assert received.token_ids == whole.token_ids[:had]
        if had == len(whole.token_ids):  # on a busy machine so few messages may carry all of it
            return had
        rest = receive(rare.generation.Generate(resume(request, received.token_ids, 8)))
        assert received.token_ids + rest.token_ids == whole.token_ids
        assert received.text + rest.text == whole.text
        assert received.logprobs + rest.logprobs == whole.logprobs
        assert rest.end == whole.end
        return had

    with ThreadPoolExecutor(16) as pool:
        cuts = {*pool.map(cut_and_resume, range(2, 18))} - {len(whole.token_ids)}
    assert cuts


def test_tokens_of_another_reply_get_what_follows_them_and_leave_no_trace(
    cached: Served, uncached: Served
) -> None:
    request = make_request("what is this?", seed=6, temperature=1.5, min_tokens=24)
    whole = cached.ask(with_mode(request, REFRESH))
    strange = list(whole.token_ids[:6])
    strange[3] = 40 if strange[3] != 40 else 41
    for tokens in (strange, strange[:4], [*whole.token_ids[1:4]]):
        resumed = resume(request, tokens, 6)
        assert cached.ask(resumed) == uncached.ask(resumed)
        assert cached.ask(with_mode(resumed, REFRESH)) == uncached.ask(resumed)
    again = cached.ask(request)
    assert again == whole
    assert again.outcome == HIT


def test_the_rest_of_a_reply_is_never_kept_as_the_whole(cached: Served, uncached: Served) -> None:
    request = make_request("is the rest kept?", seed=6, temperature=1.5, min_tokens=24)
    expected = uncached.ask(request)
    for mode in (pb.CACHE_MODE_UNSPECIFIED, REFRESH):
        rest = with_mode(resume(request, expected.token_ids[:7], 6), mode)
        assert [cached.ask(rest).token_ids for _ in range(3)] == [expected.token_ids[7:]] * 3
    first, second = cached.ask(request), cached.ask(request)
    assert first == second == expected
    assert (first.outcome, second.outcome) == (MISS, HIT)


def test_only_if_cached_resumes_what_is_kept_and_nothing_else(cached: Served) -> None:
    only = pb.CACHE_MODE_ONLY_IF_CACHED
    request = make_request("only the rest?", seed=6, temperature=1.5, min_tokens=24)
    whole = cached.ask(with_mode(request, REFRESH))
    resumed = with_mode(resume(request, whole.token_ids[:9], 6), only)
    assert cached.ask(resumed).token_ids == whole.token_ids[9:]
    resumed.resume_tokens[2] += 1
    with pytest.raises(grpc.RpcError) as caught:
        cached.ask(resumed)
    assert find_detail(caught.value, ErrorInfo).reason == "NOT_CACHED"


@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize("extra", [(), (5,), (4000,)], ids=["all", "more", "no token"])
def test_a_complete_reply_cannot_be_resumed_cached_or_not(
    cached: Served, uncached: Served, name: str, extra: tuple[int, ...]
) -> None:
    request = REQUESTS[name]
    whole = cached.ask(with_mode(request, REFRESH))
    found = []
    for served in (cached, uncached):
        with pytest.raises(grpc.RpcError) as caught:
            served.ask(resume(request, (*whole.token_ids, *extra), whole.seed))
        reason = find_detail(caught.value, ErrorInfo).reason
        found.append((caught.value.code(), caught.value.details(), reason))
    assert found[0] == found[1]
    assert found[0][0] is grpc.StatusCode.FAILED_PRECONDITION
