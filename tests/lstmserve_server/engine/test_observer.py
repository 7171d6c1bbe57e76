"""Measured replies: the same replies, so many a second, and told to the observer alone."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest

from lstmserve_server.config import EngineConfig
from lstmserve_server.engine.observer import Measuring
from lstmserve_server.engine.output import FinishReason
from lstmserve_server.engine.request import GenerationRequest, SamplingParams
from support.engines import Bench, LoadedModel, Recorder, Reply, prompt_ids, run_together
from support.fake_runner import make_request
from support.forms import regex_form
from support.random_requests import random_request

NONE, ALL = (
    EngineConfig(measured_tokens_per_second=0),
    EngineConfig(measured_tokens_per_second=math.inf),
)


@pytest.fixture(scope="module")
def requests(tiny: LoadedModel) -> list[GenerationRequest]:
    rng = random.Random(11)
    return [random_request(tiny.bundle, rng) for _ in range(48)]


def test_measuring_changes_nothing_that_a_caller_can_see(
    tiny: LoadedModel, requests: list[GenerationRequest]
) -> None:
    measured, unmeasured = (run_together(tiny, requests, config) for config in (ALL, NONE))
    assert [reply.essence for reply in measured] == [reply.essence for reply in unmeasured]
    for request, reply in zip(requests, measured, strict=True):
        is_asked = request.sampling.num_logprobs is not None
        assert len(reply.logprobs) == (len(reply.token_ids) if is_asked else 0)


def test_what_is_told_is_what_callers_who_ask_are_told(
    tiny: LoadedModel, requests: list[GenerationRequest]
) -> None:
    silent = replace(requests[0], sampling=replace(requests[0].sampling, num_logprobs=None))
    curious = replace(silent, sampling=replace(silent.sampling, num_logprobs=0))
    bench = Bench(tiny, ALL)
    bench.submit(0, silent)
    (reply,) = bench.run().values()
    (told,) = run_together(tiny, [curious], NONE)
    assert reply.logprobs == []
    assert bench.recorder.nats == [-entry.logprob for entry in told.logprobs]
    assert reply.finish is not None
    assert bench.recorder.measured == [(told.text, reply.finish.reason)]


def test_a_reply_that_keeps_a_form_says_nothing_of_the_model(tiny: LoadedModel) -> None:
    form = regex_form(tiny.bundle, "[0-9]{4}")
    request = GenerationRequest(prompt_ids(tiny.bundle, "hello"), SamplingParams(), 8)
    bench = Bench(tiny, ALL)
    bench.submit(0, replace(request, form_digest=form.digest), form=form)
    assert bench.run()[0].text.isdigit()
    assert (bench.recorder.nats, bench.recorder.measured) == ([], [])


def test_the_log_probabilities_are_those_before_temperature_and_filters(tiny: LoadedModel) -> None:
    ids = prompt_ids(tiny.bundle, "hello")
    greedy = GenerationRequest(ids, SamplingParams(temperature=0.0), max_tokens=1)
    sharp = replace(greedy, sampling=SamplingParams(temperature=0.1, top_k=1, seed=3))
    found = []
    for request in (greedy, sharp):  # the most likely token, chosen with odds of one
        bench = Bench(tiny, ALL)
        bench.submit(0, request)
        bench.run()
        found.append(bench.recorder.nats)
    assert found[0] == found[1]
    assert found[0][0] > 0


def test_a_reply_that_is_resumed_or_ended_by_its_caller_is_no_whole_reply(
    tiny: LoadedModel, requests: list[GenerationRequest]
) -> None:
    longest = max(requests, key=lambda request: request.max_tokens)
    longest = replace(longest, min_tokens=longest.max_tokens, stop_sequences=())
    (whole,) = run_together(tiny, [longest], NONE)
    bench = Bench(tiny, ALL)
    bench.submit(0, replace(longest, resume_ids=tuple(whole.token_ids[:2])))
    bench.run()
    assert (bench.recorder.nats, bench.recorder.measured) == ([], [])
    bench.submit(1, longest)
    bench.step()
    bench.cancel(1)
    bench.run()
    assert len(bench.recorder.nats) == len(bench.replies[1].token_ids) > 0
    assert bench.recorder.measured == []


def test_no_token_after_the_end_is_told(tiny: LoadedModel) -> None:
    ids = prompt_ids(tiny.bundle, "hello")
    bench = Bench(tiny, replace(ALL, quantum_steps=16))
    for number in range(20):
        bench.submit(number, GenerationRequest(ids, SamplingParams(seed=number), max_tokens=512))
    replies: list[Reply] = [*bench.run().values()]
    assert sum(len(reply.token_ids) for reply in replies) == len(bench.recorder.nats)
    assert bench.recorder.wasted > 0
    ends = [reply.finish.reason for reply in replies if reply.finish is not None]
    assert sorted(reason.name for _, reason in bench.recorder.measured) == sorted(
        reason.name for reason in ends
    )
    assert FinishReason.END_OF_TEXT in ends


def test_only_so_many_tokens_a_second_are_measured_whatever_comes() -> None:
    measuring, request = Measuring(10, Recorder()), make_request(seed=1, max_tokens=20)
    chosen = [now for now in range(100) if measuring.chooses(request, float(now))]
    assert chosen == [*range(0, 100, 2)]
    assert measuring.chooses(request, 1000.0)  # what was not used is not saved up
    assert not measuring.chooses(request, 1001.9)


def test_a_reply_shorter_than_it_might_have_been_makes_way_for_the_next(
    tiny: LoadedModel,
) -> None:
    ids = prompt_ids(tiny.bundle, "hello")
    request = GenerationRequest(ids, SamplingParams(temperature=0.0), max_tokens=512)
    (whole,) = run_together(tiny, [request], NONE)
    num_tokens = len(whole.token_ids)
    assert num_tokens < 100
    bench = Bench(tiny, EngineConfig(measured_tokens_per_second=1))
    # each second of its length is paid for, and none that it might have taken
    for arrived_at, num_measured in ((0.0, 1), (num_tokens - 0.5, 1), (num_tokens + 0.5, 2)):
        bench.submit(0, request, arrived_at=arrived_at)
        while bench.has_work:
            bench.step()
        assert len(bench.recorder.measured) == num_measured
