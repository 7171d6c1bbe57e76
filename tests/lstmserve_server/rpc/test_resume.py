"""A reply that was cut goes on at another server, bit for bit."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import grpc
import pytest

from benchmarks.testbed.server import ServerProcess
from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1 import generation_service_pb2_grpc
from support.calls import LONG, connect
from support.resumption import GenerationStub, check_every_cut, receive, resume

QUESTION = "where is my parcel? 包裹到了吗 🚚"
CONVERSATION = pb.Conversation(
    turns=[
        pb.Turn(role=pb.ROLE_USER, text="hello"),
        pb.Turn(role=pb.ROLE_AGENT, text="您好"),
        pb.Turn(role=pb.ROLE_USER, text=QUESTION),
    ]
)
SAMPLINGS = {
    "greedy": pb.SamplingParams(temperature=0),
    "greedy, log-probabilities": pb.SamplingParams(temperature=0, logprobs=20),
    "no seed of the caller's": pb.SamplingParams(temperature=1.5),
    "highest seed": pb.SamplingParams(temperature=1.2, seed=2**64 - 1, logprobs=3),
    "top_k": pb.SamplingParams(temperature=2, seed=1, top_k=5, logprobs=0),
    "top_p": pb.SamplingParams(temperature=2, seed=2, top_p=0.9),
    "min_p": pb.SamplingParams(temperature=2, seed=3, min_p=0.05),
    "penalties": pb.SamplingParams(
        temperature=1,
        seed=5,
        repetition_penalty=1.3,
        frequency_penalty=0.4,
        presence_penalty=-0.2,
        logit_bias={5: -3.5, 300: 2},
        logprobs=1,
    ),
    "filters": pb.SamplingParams(
        temperature=2, seed=4, top_k=40, top_p=0.95, min_p=0.01, logprobs=2
    ),
}
Pair = tuple[GenerationStub, GenerationStub]


@pytest.mark.parametrize("name", SAMPLINGS)
def test_after_every_token(two_servers: Pair, name: str) -> None:
    stopping = pb.StoppingCriteria(min_tokens=9, max_tokens=24)
    request = pb.GenerateRequest(prompt=QUESTION, sampling=SAMPLINGS[name], stopping=stopping)
    check_every_cut(*two_servers, request)


def test_in_a_conversation(two_servers: Pair) -> None:
    sampling = pb.SamplingParams(temperature=1, seed=6, logprobs=1)
    check_every_cut(*two_servers, pb.GenerateRequest(conversation=CONVERSATION, sampling=sampling))


@pytest.mark.parametrize("seed", range(6))
def test_with_stop_sequences_that_come_and_that_only_begin(two_servers: Pair, seed: int) -> None:
    request = pb.GenerateRequest(
        prompt=QUESTION,
        sampling=pb.SamplingParams(temperature=1.5, seed=seed, logprobs=1),
        stopping=pb.StoppingCriteria(min_tokens=30, max_tokens=30),
    )
    text = receive(two_servers[0].Generate(request)).text
    middle = len(text) // 2
    stop, never = text[middle : middle + 4], text[1:5] + "§"
    request.stopping.stop_sequences.extend([stop, never])
    whole = check_every_cut(*two_servers, request)
    assert whole.end[:2] == (pb.FINISH_REASON_STOP_SEQUENCE, stop)


def test_after_the_first_server_was_killed(tiny_store: Path, two_servers: Pair) -> None:
    _, second = two_servers
    whole = receive(second.Generate(LONG))
    with ServerProcess(tiny_store) as doomed, connect(doomed.target, narrow=True) as channel:
        stream = generation_service_pb2_grpc.GenerationServiceStub(channel).Generate(LONG)
        received = receive(islice(stream, 5))
        doomed.process.kill()
        receive(stream, into=received)
    assert received.error is not None
    assert received.error.code() is grpc.StatusCode.UNAVAILABLE
    assert 0 < len(received.token_ids) < len(whole.token_ids)
    rest = receive(second.Generate(resume(LONG, received.token_ids, received.seed)))
    assert received.token_ids + rest.token_ids == whole.token_ids
    assert received.logprobs + rest.logprobs == whole.logprobs
    assert received.text + rest.text == whole.text
    assert rest.end == whole.end
