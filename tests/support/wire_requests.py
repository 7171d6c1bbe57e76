"""Requests as callers send them: every field of one request changed, and any at random."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator

from lstmserve.v1 import generation_service_pb2 as pb

PROMPTS = ("where is my parcel", "where is my parcels", "你好", "thanks 👍", "hello " * 20)
STOPS = ("e", "您", "is on", "s on", "on", "!", " ")
MAX_TOKENS = 24


def conversation(*texts: str) -> pb.Conversation:
    """Turns of the user and the agent by turns, the user's first."""
    roles = (pb.ROLE_USER, pb.ROLE_AGENT)
    turns = [pb.Turn(role=roles[n % 2], text=text) for n, text in enumerate(texts)]
    return pb.Conversation(turns=turns)


def make_request(
    prompt: str = PROMPTS[0],
    *,
    max_tokens: int = MAX_TOKENS,
    min_tokens: int = 0,
    stops: Iterable[str] = (),
    mode: pb.CacheMode = pb.CACHE_MODE_UNSPECIFIED,
    **sampling: object,
) -> pb.GenerateRequest:
    """A request with what tests vary most."""
    return pb.GenerateRequest(
        prompt=prompt,
        sampling=pb.SamplingParams(**sampling),
        stopping=pb.StoppingCriteria(
            max_tokens=max_tokens, min_tokens=min_tokens, stop_sequences=stops
        ),
        cache_mode=mode,
    )


def with_mode(request: pb.GenerateRequest, mode: pb.CacheMode) -> pb.GenerateRequest:
    """The same request in another cache mode."""
    changed = copy_of(request)
    changed.cache_mode = mode
    return changed


def copy_of(request: pb.GenerateRequest) -> pb.GenerateRequest:
    copy = pb.GenerateRequest()
    copy.CopyFrom(request)
    return copy


def each_field_changed(base: pb.GenerateRequest) -> Iterator[pb.GenerateRequest]:
    """The request itself, and with one thing about it changed, however little."""
    yield base
    for prompt in (*PROMPTS[1:], PROMPTS[0] + " ", PROMPTS[0].upper(), "where is my parcel?"):
        changed = copy_of(base)
        changed.prompt = prompt
        yield changed
    yield from _other_inputs(base)
    for values in SAMPLING_CHANGES:
        changed = copy_of(base)
        changed.sampling.MergeFrom(pb.SamplingParams(**values))
        yield changed
    for stopping in STOPPING_CHANGES:
        changed = copy_of(base)
        changed.stopping.MergeFrom(stopping)
        yield changed


def random_requests(rng: random.Random, count: int) -> list[pb.GenerateRequest]:
    """Requests that share most of their fields with some of the others."""
    return [_random_request(rng) for _ in range(count)]


SAMPLING_CHANGES: tuple[dict[str, object], ...] = (
    *({"seed": seed} for seed in (0, 2, 2**32 + 1, 2**64 - 1)),
    *({"temperature": value} for value in (0.0, 0.7, 1.3000001, 2.0)),
    *({"top_k": value} for value in (1, 5, 6, 0)),
    *({"top_p": value} for value in (0.2, 0.9, 1.0)),
    *({"min_p": value} for value in (0.1, 0.3)),
    *({"repetition_penalty": value} for value in (1.0, 1.3, 0.5)),
    *({"frequency_penalty": value} for value in (0.7, -0.7)),
    *({"presence_penalty": value} for value in (0.7, -0.7)),
    *({"logprobs": value} for value in (0, 1, 2, 20)),
    *({"logit_bias": bias} for bias in ({9: 50.0}, {10: 50.0}, {9: -50.0}, {9: 5.0, 10: 5.0})),
)
STOPPING_CHANGES = (
    *(pb.StoppingCriteria(max_tokens=value) for value in (1, 2, MAX_TOKENS - 1, 512)),
    *(pb.StoppingCriteria(min_tokens=value) for value in (1, MAX_TOKENS)),
    *(pb.StoppingCriteria(stop_sequences=stops) for stops in (["e"], ["o"], ["o", "e"])),
    *(pb.StoppingCriteria(stop_sequences=stops) for stops in (["e", "o"], ["eo"], ["o", "o"])),
)


def _other_inputs(base: pb.GenerateRequest) -> Iterator[pb.GenerateRequest]:
    question = base.prompt
    said = (
        (question,),
        ("hello", "hi", question),
        ("hello", "hi ", question),
        ("hello hi", "hi", question),
        ("hello", question, question),
    )
    for texts in said:
        changed = copy_of(base)
        changed.conversation.CopyFrom(conversation(*texts))
        yield changed
    agent_first = pb.Conversation(
        turns=[
            pb.Turn(role=pb.ROLE_AGENT, text="hello"),
            pb.Turn(role=pb.ROLE_USER, text=question),
        ]
    )
    changed = copy_of(base)
    changed.conversation.CopyFrom(agent_first)
    yield changed


def _random_request(rng: random.Random) -> pb.GenerateRequest:
    request = make_request(
        rng.choice(PROMPTS),
        max_tokens=rng.choice([1, 5, 12, MAX_TOKENS]),
        min_tokens=rng.choice([0, 0, 1]),
        stops=rng.sample(STOPS, rng.choice([0, 0, 1, 3])),
        temperature=rng.choice([0.0, 0.0, 1.0, 1.8]),
        seed=rng.choice([1, 2, 2**64 - 1]),
    )
    for values in rng.sample(SAMPLING_CHANGES, rng.choice([0, 1, 1, 2])):
        request.sampling.MergeFrom(pb.SamplingParams(**values))
    if rng.random() < 0.3:
        request.conversation.CopyFrom(conversation("hello", "hi", request.prompt or "so?"))
    request.model = rng.choice(["", "", "tiny"])
    request.model_version = rng.choice(["", "1"])
    request.priority = rng.choice(pb.Priority.values())
    return request
