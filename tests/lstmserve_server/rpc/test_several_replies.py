"""Several replies to one request, the likeliest first, each the reply of its own seed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from statistics import fmean
from typing import Literal

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest

from benchmarks.testbed.server import ServerProcess
from lstmserve.v1 import cache_service_pb2 as cache_pb
from lstmserve.v1 import cache_service_pb2_grpc
from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1.generation_service_pb2_grpc import GenerationServiceStub
from lstmserve_server.rpc.samples import Samples
from support.calls import find_detail
from support.metrics_page import MetricsPage, scrape_until
from support.served import serve

SEED = 2**64 - 2  # the third seed after it is 1
PROMPT = "where is my parcel"


def request_of(
    *, seed: int | None = SEED, logprobs: int | None = None, **fields: int
) -> pb.GenerateReplyRequest:
    sampling = pb.SamplingParams(temperature=1.0, seed=seed, logprobs=logprobs)
    return pb.GenerateReplyRequest(
        prompt=PROMPT,
        sampling=sampling,
        stopping=pb.StoppingCriteria(max_tokens=24),
        **fields,  # type: ignore[arg-type]
    )


def told_by(reply: pb.GenerateReplyResponse) -> tuple[int, str, list[int], int]:
    return (
        reply.started.seed,
        reply.text,
        list(reply.token_ids),
        reply.completion.finish_reason,
    )


def score(reply: pb.GenerateReplyResponse) -> float:
    return fmean(entry.logprob for entry in reply.logprobs)


def test_the_likeliest_come_first_and_each_is_that_of_its_seed(
    generation: GenerationServiceStub,
) -> None:
    seeds = [(SEED + number) % 2**64 for number in range(6)]
    alone = [generation.GenerateReply(request_of(seed=seed, logprobs=0)) for seed in seeds]
    assert len({each.text for each in alone}) > 1
    expected = sorted(alone, key=lambda reply: -score(reply))
    best = generation.GenerateReply(request_of(best_of=6, num_replies=4))
    found = [best, *best.alternatives]
    assert [told_by(each) for each in found] == [told_by(each) for each in expected[:4]]
    scores = [score(each) for each in expected[:4]]
    assert [each.mean_logprob for each in found] == pytest.approx(scores)  # of single precision
    assert not any(each.logprobs for each in found)
    assert not any(each.alternatives for each in best.alternatives)
    usage = {each.completion.usage.prompt_tokens for each in found}
    assert usage == {alone[0].completion.usage.prompt_tokens}


def test_log_probabilities_stay_where_they_were_wanted(generation: GenerationServiceStub) -> None:
    best = generation.GenerateReply(request_of(num_replies=2, logprobs=3))
    for reply in (best, *best.alternatives):
        assert reply.mean_logprob == pytest.approx(score(reply))
        assert all(len(entry.top) == 3 for entry in reply.logprobs)


def test_without_a_seed_they_are_those_that_follow_one_another(
    generation: GenerationServiceStub,
) -> None:
    best = generation.GenerateReply(request_of(seed=None, num_replies=5))
    seeds = sorted(reply.started.seed for reply in (best, *best.alternatives))
    assert (seeds[-1] - seeds[0] == 4) or seeds[0] == 0  # or they begin anew at 2^64
    again = generation.GenerateReply(request_of(seed=best.started.seed))
    assert told_by(again) == told_by(best)


@pytest.mark.parametrize(
    "mode", [pb.CACHE_MODE_UNSPECIFIED, pb.CACHE_MODE_BYPASS, pb.CACHE_MODE_REFRESH]
)
def test_they_are_the_same_in_any_company_and_from_the_cache(
    generation: GenerationServiceStub, mode: int
) -> None:
    request = request_of(best_of=4, num_replies=4)
    request.cache_mode = mode  # type: ignore[assignment]
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(generation.GenerateReply, [request] * 16))
    told = {
        tuple((*told_by(each)[:2], each.mean_logprob) for each in (reply, *reply.alternatives))
        for reply in replies
    }
    assert len(told) == 1


def test_one_is_an_ordinary_reply(generation: GenerationServiceStub) -> None:
    plain = generation.GenerateReply(request_of())
    for one in (request_of(best_of=1), request_of(num_replies=1)):
        reply = generation.GenerateReply(one)
        assert told_by(reply) == told_by(plain)
        assert not reply.HasField("mean_logprob")
        assert not reply.alternatives


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"best_of": 0}, {"best_of": "must be from 1 to 16, not 0"}),
        ({"best_of": 17}, {"best_of": "must be from 1 to 16, not 17"}),
        ({"num_replies": 0}, {"num_replies": "must be from 1 to 16, not 0"}),
        ({"num_replies": 17}, {"num_replies": "must be from 1 to 16, not 17"}),
        ({"best_of": 2, "num_replies": 3}, {"num_replies": "must be from 1 to 2, not 3"}),
        ({"best_of": 99, "num_replies": 0}, dict.fromkeys(("best_of", "num_replies"), "from 1 to")),
    ],
)
def test_wrong_numbers_are_named(
    generation: GenerationServiceStub, fields: dict[str, int], wrong: dict[str, str]
) -> None:
    check_refused(generation, request_of(**fields), wrong)


def test_what_is_only_in_the_cache_is_asked_for_by_its_seed(
    generation: GenerationServiceStub,
) -> None:
    request = request_of(seed=None, best_of=2)
    request.cache_mode = pb.CACHE_MODE_ONLY_IF_CACHED
    check_refused(generation, request, {"sampling.seed": "is needed"})


def test_greedy_replies_are_all_alike(generation: GenerationServiceStub) -> None:
    for field in ("best_of", "num_replies"):
        request = request_of(**{field: 2})
        request.sampling.temperature = 0
        check_refused(generation, request, {field: "must be 1 with temperature 0"})


def check_refused(
    generation: GenerationServiceStub, request: pb.GenerateReplyRequest, wrong: dict[str, str]
) -> None:
    with pytest.raises(grpc.RpcError) as error:
        generation.GenerateReply(request)
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    violations = find_detail(error.value, BadRequest).field_violations
    assert {each.field for each in violations} == set(wrong)
    assert all(wrong[each.field] in each.description for each in violations)


def test_a_deadline_ends_all_of_them(server: ServerProcess, channel: grpc.Channel) -> None:
    request = request_of(best_of=16)
    request.stopping.min_tokens = request.stopping.max_tokens = 512
    request.cache_mode = pb.CACHE_MODE_BYPASS
    with pytest.raises(grpc.RpcError) as error:
        GenerationServiceStub(channel).GenerateReply(request, timeout=0.05)
    assert error.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    scrape_until(server.metrics_url, lambda page: not page.total("running_sequences"))


def test_all_tokens_count(server: ServerProcess, generation: GenerationServiceStub) -> None:
    """Also those of replies that were only compared."""
    before = MetricsPage(server.metrics_url).total("generated_tokens_total")
    request = request_of(best_of=3)
    request.stopping.min_tokens = request.stopping.max_tokens = 24
    request.cache_mode = pb.CACHE_MODE_BYPASS
    generation.GenerateReply(request)
    assert MetricsPage(server.metrics_url).total("generated_tokens_total") == before + 3 * 24


def test_each_reply_counts_by_where_it_came_from(tiny_store: Path) -> None:
    """And the pace of streams is not that of replies that were whole before they were counted."""
    with serve(tiny_store, "--cache-threshold", "1") as served:
        lone = served.generation.GenerateReply(request_of(logprobs=0))
        before = served.page_once_idle()
        best = served.generation.GenerateReply(request_of(num_replies=3))
        page = served.page_once_idle()
    replies = (best, *best.alternatives)
    caches = {reply.started.seed: reply.started.cache for reply in replies}
    hit, miss = pb.CACHE_OUTCOME_HIT, pb.CACHE_OUTCOME_MISS
    assert caches == {SEED: hit, SEED + 1: miss, 0: miss}

    def counted(source: str) -> float:
        name, labels = "generated_tokens_total", {"source": source}
        return page.total(name, **labels) - before.total(name, **labels)

    assert counted("cache") == len(lone.token_ids)
    assert counted("model") == sum(len(each.token_ids) for each in replies) - len(lone.token_ids)
    gaps = "inter_token_seconds_count"
    assert page.total(gaps) == before.total(gaps)


def test_the_log_tells_the_reply_that_the_caller_got(tiny_store: Path) -> None:
    with serve(tiny_store, "--log-prompts", "redacted") as served:
        asked = (
            served.generation.GenerateReply(request_of(seed=seed, num_replies=6))
            for seed in count()
        )
        # the first seed's reply is not the best
        best = next(reply for seed, reply in enumerate(asked) if reply.started.seed != seed)
        replies = (best, *best.alternatives)
        served.process.stop()
        line = [
            entry for entry in served.process.read_entries() if entry.get("rpc") == "GenerateReply"
        ][-1]
    assert line["reply"] == best.text
    assert line["generated_tokens"] == sum(len(each.token_ids) for each in replies)


def test_a_server_with_few_places_makes_them_in_turn(tiny_store: Path) -> None:
    with serve(tiny_store, "--max-running", "2", "--max-waiting", "0") as served:
        best = served.generation.GenerateReply(request_of(num_replies=16))
    assert len(best.alternatives) == 15


def test_what_was_whole_is_accounted_for_when_another_fails() -> None:
    """Its tokens were made, and nobody gets them."""
    done, failing, waiting = Scripted("ab"), Scripted("c", ValueError("no")), Scripted("d", None)
    samples = Samples([done, failing, waiting], 3)  # type: ignore[list-item]  # all that it needs
    with pytest.raises(ValueError, match="no"):
        asyncio.run(samples.reply(request_of(best_of=3)))
    assert [each.discarded for each in (done, failing, waiting)] == ["ab", "c", "d"]


class Scripted:
    """An exchange whose reply has these parts, and then ends, fails, or never comes to an end."""

    def __init__(self, parts: str, end: Exception | Literal["whole"] | None = "whole") -> None:
        self.discarded = ""
        self.parts = self._make(parts, end)

    async def _make(self, parts: str, end: Exception | str | None) -> AsyncGenerator[str]:
        for part in parts:
            yield part
        if isinstance(end, Exception):
            await asyncio.sleep(0)
            raise end
        if end is None:
            await asyncio.Event().wait()

    def discard(self, parts: list[str]) -> None:
        self.discarded += "".join(parts)


def test_a_cache_is_warmed_for_one_seed_at_a_time(channel: grpc.Channel) -> None:
    cache = cache_service_pb2_grpc.CacheServiceStub(channel)
    with pytest.raises(grpc.RpcError) as error:
        cache.WarmCache(cache_pb.WarmCacheRequest(request=request_of(best_of=2)))
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "request.best_of" in str(error.value.details())
