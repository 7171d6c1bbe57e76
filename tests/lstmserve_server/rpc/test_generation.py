"""Replies over a real socket: the events, and that company changes nothing."""

from __future__ import annotations

import math
import random
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from lstmserve.open_inference import inference_service_pb2 as wire
from lstmserve.open_inference.inference_service_pb2_grpc import GRPCInferenceServiceStub
from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1 import generation_service_pb2_grpc

GenerationStub = generation_service_pb2_grpc.GenerationServiceStub

PROMPTS = (
    "I want to cancel my order",
    "where is my refund?",
    "你好",
    "my parcel came open and I am very angry about it, what will you do?",
    "👋",
)


def streamed(generation: GenerationStub, request: pb.GenerateRequest) -> list[pb.GenerateResponse]:
    return list(generation.Generate(request))


def text_of(events: list[pb.GenerateResponse]) -> str:
    return "".join(event.chunk.text for event in events)


def tokens_of(events: list[pb.GenerateResponse]) -> list[int]:
    return [token_id for event in events for token_id in event.chunk.token_ids]


def essence(events: list[pb.GenerateResponse]) -> tuple[object, ...]:
    """All of a reply but where its chunks are cut and how long it took."""
    last = events[-1].completion
    logprobs = [entry.SerializeToString() for event in events for entry in event.chunk.logprobs]
    return text_of(events), tokens_of(events), logprobs, last.finish_reason, last.stop_sequence


def random_request(rng: random.Random) -> pb.GenerateRequest:
    sampling = pb.SamplingParams(
        temperature=rng.choice([0.0, 0.4, 1.0, 1.7]),
        seed=rng.getrandbits(64),
        top_k=rng.choice([0, 0, 3, 40]),
        top_p=rng.choice([1.0, 1.0, 0.9, 0.3]),
        min_p=rng.choice([0.0, 0.0, 0.1]),
    )
    if rng.random() < 0.3:
        sampling.logprobs = rng.choice([0, 2, 20])
    stopping = pb.StoppingCriteria(max_tokens=rng.randint(1, 60), min_tokens=rng.choice([0, 1]))
    stopping.stop_sequences.extend(
        rng.sample([".", " the", "order", "好", "zz"], rng.randint(0, 2))
    )
    return pb.GenerateRequest(
        prompt=rng.choice(PROMPTS),
        sampling=sampling,
        stopping=stopping,
        cache_mode=pb.CACHE_MODE_BYPASS,  # every reply from the model
    )


def test_a_stream_is_started_chunks_and_one_completion(generation: GenerationStub) -> None:
    request = pb.GenerateRequest(prompt=PROMPTS[0], sampling=pb.SamplingParams(seed=3))
    events = streamed(generation, request)
    kinds = [event.WhichOneof("event") for event in events]
    assert kinds == ["started", *["chunk"] * (len(events) - 2), "completion"]
    started, completion = events[0].started, events[-1].completion
    assert (started.model, started.model_version, started.seed) == ("tiny", "1", 3)
    assert len(started.model_digest) == 64
    assert started.cache == completion.cache == pb.CACHE_OUTCOME_MISS
    assert completion.usage.prompt_tokens == started.prompt_tokens > 0
    assert completion.usage.generated_tokens == len(tokens_of(events))
    timings = completion.timings
    assert 0 < timings.time_to_first_token_seconds <= timings.total_seconds


def test_the_unary_reply_is_the_stream_folded(generation: GenerationStub) -> None:
    sampling = pb.SamplingParams(seed=11, temperature=1, logprobs=2)
    events = streamed(generation, pb.GenerateRequest(prompt=PROMPTS[1], sampling=sampling))
    reply = generation.GenerateReply(pb.GenerateReplyRequest(prompt=PROMPTS[1], sampling=sampling))
    assert reply.text == text_of(events)
    assert list(reply.token_ids) == tokens_of(events)
    assert len(reply.logprobs) == len(reply.token_ids)
    assert reply.completion.labels == events[-1].completion.labels


def test_thirty_two_streams_at_once_equal_the_same_requests_alone(
    generation: GenerationStub,
) -> None:
    rng = random.Random(20)
    requests = [random_request(rng) for _ in range(64)]
    alone = [essence(streamed(generation, request)) for request in requests]
    with ThreadPoolExecutor(32) as pool:
        together = list(pool.map(lambda request: essence(streamed(generation, request)), requests))
    assert together == alone


def test_the_same_seed_gives_the_same_reply_and_another_seed_another(
    generation: GenerationStub,
) -> None:
    def reply(seed: int) -> str:
        sampling = pb.SamplingParams(seed=seed, temperature=1.5)
        return text_of(
            streamed(generation, pb.GenerateRequest(prompt=PROMPTS[0], sampling=sampling))
        )

    texts = [reply(seed) for seed in range(8)]
    assert texts == [reply(seed) for seed in range(8)]
    assert len(set(texts)) > 4


def test_an_unseeded_reply_tells_the_seed_that_repeats_it(generation: GenerationStub) -> None:
    hot = pb.SamplingParams(temperature=1.5)
    first = streamed(generation, pb.GenerateRequest(prompt=PROMPTS[0], sampling=hot))
    hot.seed = first[0].started.seed
    again = streamed(generation, pb.GenerateRequest(prompt=PROMPTS[0], sampling=hot))
    assert essence(again) == essence(first)
    fresh = pb.GenerateRequest(prompt=PROMPTS[0], cache_mode=pb.CACHE_MODE_BYPASS)
    assert len({streamed(generation, fresh)[0].started.seed for _ in range(3)}) == 3


@pytest.mark.parametrize("temperature", [0.0, 1.2])
def test_a_reply_cut_after_any_token_is_resumed_bit_for_bit(
    generation: GenerationStub, temperature: float
) -> None:
    sampling = pb.SamplingParams(seed=5, temperature=temperature, logprobs=1)
    stopping = pb.StoppingCriteria(max_tokens=24, min_tokens=24, stop_sequences=["zzz"])
    request = pb.GenerateRequest(
        prompt=PROMPTS[2],
        model_version="1",
        sampling=sampling,
        stopping=stopping,
        cache_mode=pb.CACHE_MODE_BYPASS,
    )
    whole = streamed(generation, request)
    tokens = tokens_of(whole)
    for cut in range(1, len(tokens)):
        del request.resume_tokens[:]
        request.resume_tokens.extend(tokens[:cut])
        rest = streamed(generation, request)
        assert tokens_of(rest) == tokens[cut:]
        assert text_of(whole).endswith(text_of(rest))
        assert rest[-1].completion.usage == whole[-1].completion.usage
        assert rest[-1].completion.labels == whole[-1].completion.labels


def test_stop_sequences_are_not_part_of_the_reply(generation: GenerationStub) -> None:
    greedy = pb.SamplingParams(temperature=0)
    whole = text_of(streamed(generation, pb.GenerateRequest(prompt=PROMPTS[0], sampling=greedy)))
    stop = whole[len(whole) // 2 :][:3]
    events = streamed(
        generation,
        pb.GenerateRequest(
            prompt=PROMPTS[0],
            sampling=greedy,
            stopping=pb.StoppingCriteria(stop_sequences=[stop]),
        ),
    )
    assert text_of(events) == whole[: whole.index(stop)]
    completion = events[-1].completion
    assert completion.finish_reason == pb.FINISH_REASON_STOP_SEQUENCE
    assert completion.stop_sequence == stop


def test_max_and_min_tokens_bound_a_reply(generation: GenerationStub) -> None:
    events = streamed(
        generation,
        pb.GenerateRequest(
            prompt=PROMPTS[0],
            sampling=pb.SamplingParams(temperature=0),
            stopping=pb.StoppingCriteria(min_tokens=100, max_tokens=100),
        ),
    )
    assert len(tokens_of(events)) == 100
    assert events[-1].completion.finish_reason == pb.FINISH_REASON_MAX_TOKENS


def test_log_probabilities_are_the_models_own_and_sorted(generation: GenerationStub) -> None:
    def logprobs(**sampling: float) -> list[pb.TokenLogprobs]:
        params = pb.SamplingParams(logprobs=20, **sampling)
        events = streamed(generation, pb.GenerateRequest(prompt=PROMPTS[0], sampling=params))
        return [entry for event in events for entry in event.chunk.logprobs]

    greedy = logprobs(temperature=0)
    for entry in greedy:
        values = [candidate.logprob for candidate in entry.top]
        assert values == sorted(values, reverse=True)
        assert entry.logprob == values[0] <= 0
        assert sum(map(math.exp, values)) <= 1.001
    # what the model thinks of the first token does not depend on how it is drawn
    hot = logprobs(temperature=1.9, seed=2, top_k=40)
    assert [c.logprob for c in hot[0].top] == [c.logprob for c in greedy[0].top]


def test_log_probabilities_tell_the_text_of_the_token_that_was_chosen(
    generation: GenerationStub,
) -> None:
    request = pb.GenerateRequest(prompt="hello")
    request.sampling.MergeFrom(pb.SamplingParams(seed=5, temperature=2, logprobs=20))
    request.constraint.regex = "[ -~]{20,40}"  # no token is a part of a character
    events = streamed(generation, request)
    entries = [entry for event in events for entry in event.chunk.logprobs]
    known = {each.token_id: each.text for entry in entries for each in entry.top}
    told = dict(zip(tokens_of(events), [entry.text for entry in entries], strict=True))
    assert "".join(entry.text for entry in entries) == text_of(events)
    assert told.keys() & known.keys()
    assert all(known.get(token_id, text) == text for token_id, text in told.items())


def test_a_conversation_is_answered_and_its_history_matters(generation: GenerationStub) -> None:
    greedy = pb.SamplingParams(temperature=0, logprobs=5)

    def reply(*turns: tuple[int, str]) -> tuple[object, ...]:
        conversation = pb.Conversation(turns=[pb.Turn(role=r, text=t) for r, t in turns])
        request = pb.GenerateRequest(conversation=conversation, sampling=greedy)
        return essence(streamed(generation, request))

    question = (pb.ROLE_USER, PROMPTS[0])
    alone = reply(question)
    prompt = pb.GenerateRequest(prompt=PROMPTS[0], sampling=greedy)
    assert alone == essence(streamed(generation, prompt))
    # words may happen to be the same; how likely they were is not
    assert reply((pb.ROLE_USER, "thanks"), (pb.ROLE_AGENT, "zz zz zz"), question) != alone


def test_a_cancelled_stream_disturbs_nobody(generation: GenerationStub) -> None:
    rng = random.Random(3)
    requests = [random_request(rng) for _ in range(12)]
    alone = [essence(streamed(generation, request)) for request in requests]
    long = pb.GenerateRequest(
        prompt=PROMPTS[0], stopping=pb.StoppingCriteria(min_tokens=200, max_tokens=200)
    )

    def cancel_after_first(_: int) -> grpc.StatusCode:
        call = generation.Generate(long)
        next(iter(call))
        call.cancel()
        return call.code()

    with ThreadPoolExecutor(24) as pool:
        cancelled = pool.map(cancel_after_first, range(12))
        together = pool.map(lambda request: essence(streamed(generation, request)), requests)
        assert list(together) == alone
        assert set(cancelled) == {grpc.StatusCode.CANCELLED}


def test_a_deadline_ends_the_call_and_frees_the_row(generation: GenerationStub) -> None:
    long = pb.GenerateRequest(
        prompt=PROMPTS[0], stopping=pb.StoppingCriteria(min_tokens=500, max_tokens=500)
    )
    with pytest.raises(grpc.RpcError) as caught:
        list(generation.Generate(long, timeout=0.01))
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert streamed(generation, pb.GenerateRequest(prompt="hi"))[-1].HasField("completion")


def test_a_long_text_that_is_masked_gets_the_reply_of_the_short_one_by_every_way(
    generation: GenerationStub, channel: grpc.Channel
) -> None:
    """Long texts at once, which callers of short ones do not notice, and in their own order."""
    masked, long = (f"where is order {number} @ please?" for number in ("[number]", "1" * 8000))
    sampling, stopping = pb.SamplingParams(seed=3), pb.StoppingCriteria(max_tokens=8)
    bypass = pb.CACHE_MODE_BYPASS
    fields = {"sampling": sampling, "stopping": stopping, "cache_mode": bypass}
    ask = generation.GenerateReply
    whole = ask(pb.GenerateReplyRequest(prompt=masked, **fields))
    replies = [ask.future(pb.GenerateReplyRequest(prompt=long, **fields)) for _ in range(16)]
    events = streamed(generation, pb.GenerateRequest(prompt=long, **fields))
    turns = [pb.Turn(role=pb.ROLE_USER, text=long)]
    in_turns = ask(pb.GenerateReplyRequest(conversation={"turns": turns}, **fields))
    answers = [reply.result() for reply in replies] + [in_turns]
    assert {answer.text for answer in answers} | {text_of(events)} == {whole.text}
    assert {answer.started.prompt_tokens for answer in answers} == {whole.started.prompt_tokens}
    infer = GRPCInferenceServiceStub(channel).ModelInfer
    request = wire.ModelInferRequest(parameters={"seed": {"int64_param": 3}})
    request.parameters["max_tokens"].int64_param = 8
    text = request.inputs.add(name="text_input", datatype="BYTES", shape=[1])
    text.contents.bytes_contents.append(long.encode())
    (output,) = infer(request).outputs
    assert output.contents.bytes_contents[0].decode() == whole.text
