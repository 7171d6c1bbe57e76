"""The replay notices a reply that depends on its company."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from benchmarks.load.reply import BrokenReplyError, assemble, describe_difference
from benchmarks.load.transport import OnMessage, Status
from benchmarks.load.usage import MeasureError
from benchmarks.replay.forms import FORMS, is_kept
from benchmarks.replay.replay import Replay, shuffled_forever
from benchmarks.replay.requests import form_of, make_requests
from benchmarks.testbed.process import run_program
from lstmserve.v1 import generation_service_pb2 as pb

ROOT = Path(__file__).parents[2]


class Company:
    """A server in memory: replies in pieces, and a way to misbehave when others are there."""

    def __init__(self, fault: str = "") -> None:
        self.fault = fault
        self.running = 0

    async def stream(self, _path: str, request: bytes, on_message: OnMessage) -> Status:
        seed = pb.GenerateRequest.FromString(request).sampling.seed
        self.running += 1
        try:
            return await self._answer(seed % 1000, on_message)
        finally:
            self.running -= 1

    async def _answer(self, token_id: int, on_message: OnMessage) -> Status:
        await asyncio.sleep(0)  # the others come in
        fault = self.fault if self.running > 1 else ""
        if fault == "refuses":
            return Status("RESOURCE_EXHAUSTED")
        logprob = -1.0 - (2**-23 if fault == "last bit" else 0.0)
        for text in ("a", "b"):
            entry = pb.TokenLogprobs(logprob=logprob)
            chunk = pb.Chunk(text=text, token_ids=[token_id], logprobs=[entry])
            on_message(pb.GenerateResponse(chunk=chunk).SerializeToString())
        if fault != "breaks off":
            finish = pb.Completion(finish_reason=pb.FINISH_REASON_MAX_TOKENS)
            on_message(pb.GenerateResponse(completion=finish).SerializeToString())
        return Status("OK")

    async def close(self) -> None:
        """Nothing is open."""


async def replay(fault: str, count: int = 200) -> Replay:
    made = Replay(Company(fault), make_requests(20, seed=1, with_penalties=False))
    await made.ask_alone(lambda _: None)
    await made.ask_together(count, streams=8, seed=1, on_progress=lambda _: None)
    return made


async def test_equal_replies_are_exact() -> None:
    outcome = (await replay("")).outcome
    assert outcome.is_exact
    assert outcome.compared == 200
    assert outcome.tokens == 400


async def test_one_bit_of_one_log_probability_is_noticed() -> None:
    outcome = (await replay("last bit")).outcome
    assert not outcome.is_exact
    assert outcome.different > 100
    assert "log-probabilities of token 0" in outcome.examples[0]


@pytest.mark.parametrize(
    ("fault", "code"), [("refuses", "RESOURCE_EXHAUSTED"), ("breaks off", "INCOMPLETE")]
)
async def test_a_reply_that_does_not_come_is_a_failure(fault: str, code: str) -> None:
    outcome = (await replay(fault, count=20)).outcome
    assert not outcome.is_exact
    assert set(outcome.failed) == {code}


async def test_a_request_that_fails_alone_stops_the_replay() -> None:
    class Refusing(Company):
        async def _answer(self, token_id: int, on_message: OnMessage) -> Status:
            return Status("INVALID_ARGUMENT", "top_k")

    with pytest.raises(MeasureError, match="request 0: INVALID_ARGUMENT: top_k"):
        await Replay(Refusing(), make_requests(2, 1, with_penalties=False)).ask_alone(print)


def test_the_requests_mix_every_option_and_are_repeatable() -> None:
    requests = make_requests(300, seed=5, with_penalties=True)
    assert requests == make_requests(300, seed=5, with_penalties=True)
    sampling = {field.name for one in requests for field, _ in one.sampling.ListFields()}
    assert sampling == {field.name for field in pb.SamplingParams.DESCRIPTOR.fields}
    stopping = {field.name for one in requests for field, _ in one.stopping.ListFields()}
    assert stopping == {field.name for field in pb.StoppingCriteria.DESCRIPTOR.fields}
    assert {one.WhichOneof("input") for one in requests} == {"prompt", "conversation"}


def test_without_penalties_none_is_asked() -> None:
    for request in make_requests(300, seed=5, with_penalties=False):
        assert not request.sampling.logit_bias
        assert not request.sampling.HasField("presence_penalty")


def test_every_request_is_asked_equally_often_in_ever_new_order() -> None:
    first, second = ([*islice(shuffled_forever(50, seed), 100)] for seed in (1, 2))
    assert Counter(first) == Counter(second) == dict.fromkeys(range(50), 2)
    assert first[:50] != first[50:]
    assert first != second


def test_a_reply_without_completion_is_broken() -> None:
    with pytest.raises(BrokenReplyError):
        assemble([pb.GenerateResponse(chunk=pb.Chunk(text="a")).SerializeToString()])


def test_the_difference_is_named() -> None:
    alone = pb.GenerateReplyResponse(text="ab", token_ids=[1, 2])
    assert "token 1 is 3, alone 2" in describe_difference(
        alone, pb.GenerateReplyResponse(text="ac", token_ids=[1, 3])
    )
    assert "1 tokens, alone 2" in describe_difference(
        alone, pb.GenerateReplyResponse(token_ids=[1])
    )
    assert "text 'ax'" in describe_difference(
        alone, pb.GenerateReplyResponse(text="ax", token_ids=[1, 2])
    )


@pytest.mark.benchmark
def test_the_command_compares_replies_of_a_real_server(tmp_path: Path) -> None:
    counts = tmp_path / "counts.json"
    command = [sys.executable, "-m", "benchmarks.replay", "--start", "--json", str(counts)]
    command += ["--requests", "60", "--distinct", "10", "--streams", "16"]
    done = run_program(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(counts.read_text("utf-8"))
    assert (found["compared"], found["different"], found["failed"]) == (60, 0, {})
    assert found["command"].startswith("python -m benchmarks.replay")


@pytest.mark.parametrize(
    ("number", "kept", "broken"),
    [
        (0, "2026-11-30", "2026-11-3"),
        (1, "Where is it, then?", "Where?"),
        (2, "您好", "maybe"),
        (3, '{"topic":"order","urgent":true,"numbers":[1]}', '{"topic":"order","urgent":1}'),
        (4, '{"name":"a","under":[{"name":"b","under":[]}]}', '{"name":"a","under":[1]}'),
        (5, "(1+2)*3", "(1+2*3"),
    ],
)
def test_forms_are_looked_at_by_what_the_server_does_not_use(
    number: int, kept: str, broken: str
) -> None:
    assert is_kept(FORMS[number], kept)
    assert not is_kept(FORMS[number], broken)


async def test_a_reply_that_leaves_its_form_is_counted() -> None:
    """What the server in memory says keeps none of them."""
    requests = make_requests(20, seed=1, with_penalties=False, with_forms=True)
    found = Replay(Company(""), requests)
    await found.ask_alone(lambda _: None)
    await found.ask_together(40, 4, 0, lambda _: None)
    assert found.outcome.unkept == 2 * sum(form_of(request) is not None for request in requests)
    assert found.outcome.unkept
    assert not found.outcome.is_exact
