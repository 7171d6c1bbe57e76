"""Requests that mix every option of sampling and stopping, each with a seed of its own."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

from benchmarks.load.prompts import load_prompts
from benchmarks.replay.forms import FORMS, LEAST_TOKENS, TriedForm
from lstmserve.v1 import generation_service_pb2 as pb

MAX_TOKENS = 48
MAX_SEED = 2**64
MAX_LOGPROBS = 5
MAX_TURNS = 3
# ids that every vocabulary has: its first ones
BIASED_IDS = range(64)
STOP_SEQUENCES = (".", ", ", " the", "you", "order", "e", "\n", "{{")

SHARE_OF_FORMS = 0.4

Fill = Callable[[random.Random, pb.SamplingParams], None]


def _temperature(source: random.Random, sampling: pb.SamplingParams) -> None:
    sampling.temperature = source.choice([0.0, 0.0, 0.3, 0.7, 1.0, 1.0, 1.5, 2.0])


def _top_k(source: random.Random, sampling: pb.SamplingParams) -> None:
    sampling.top_k = source.choice([1, 2, 10, 40, 200])


def _top_p(source: random.Random, sampling: pb.SamplingParams) -> None:
    sampling.top_p = source.choice([0.1, 0.5, 0.9, 0.99, 1.0])


def _min_p(source: random.Random, sampling: pb.SamplingParams) -> None:
    sampling.min_p = source.choice([0.0, 0.02, 0.1, 0.5])


def _logprobs(source: random.Random, sampling: pb.SamplingParams) -> None:
    sampling.logprobs = source.randint(0, MAX_LOGPROBS)


def _repetition_penalty(source: random.Random, sampling: pb.SamplingParams) -> None:
    sampling.repetition_penalty = source.choice([0.8, 1.1, 1.3, 2.0])


def _frequency_penalty(source: random.Random, sampling: pb.SamplingParams) -> None:
    sampling.frequency_penalty = source.uniform(-2, 2)


def _presence_penalty(source: random.Random, sampling: pb.SamplingParams) -> None:
    sampling.presence_penalty = source.uniform(-2, 2)


def _logit_bias(source: random.Random, sampling: pb.SamplingParams) -> None:
    for token_id in source.sample(BIASED_IDS, source.randint(1, 8)):
        sampling.logit_bias[token_id] = source.choice([-100.0, -5.0, 2.5, 10.0])


# option -> how often a request has it
OPTIONS: Mapping[Fill, float] = {_temperature: 0.9, _top_k: 0.3, _top_p: 0.3, _min_p: 0.2}
LOGPROBS: Mapping[Fill, float] = {_logprobs: 0.5}
PENALTIES: Mapping[Fill, float] = {
    _repetition_penalty: 0.25,
    _frequency_penalty: 0.25,
    _presence_penalty: 0.25,
    _logit_bias: 0.25,
}


def make_requests(
    count: int, seed: int, *, with_penalties: bool, with_forms: bool = False
) -> list[pb.GenerateRequest]:
    """So many different requests; the cache is bypassed, so that each is generated."""
    source = random.Random(seed)
    prompts = load_prompts()
    options = {**OPTIONS, **LOGPROBS, **(PENALTIES if with_penalties else {})}
    made = [_make_request(source, prompts, options) for _ in range(count)]
    for request in made if with_forms else ():
        if source.random() < SHARE_OF_FORMS:
            _add_form(request, source.choice(FORMS))
    return made


def form_of(request: pb.GenerateRequest) -> TriedForm | None:
    """Return the form that a request asks for."""
    return next((form for form in FORMS if form.constraint == request.constraint), None)


def _add_form(request: pb.GenerateRequest, form: TriedForm) -> None:
    request.constraint.CopyFrom(form.constraint)
    request.stopping.max_tokens += LEAST_TOKENS


def _make_request(
    source: random.Random, prompts: Sequence[str], options: Mapping[Fill, float]
) -> pb.GenerateRequest:
    request = pb.GenerateRequest(cache_mode=pb.CACHE_MODE_BYPASS)
    _fill_input(source, prompts, request)
    _fill_stopping(source, request.stopping)
    request.sampling.seed = source.randrange(MAX_SEED)
    for fill, probability in options.items():
        if source.random() < probability:
            fill(source, request.sampling)
    return request


def _fill_input(source: random.Random, prompts: Sequence[str], request: pb.GenerateRequest) -> None:
    kind = source.random()
    if kind < 0.6:  # noqa: PLR2004 - most ask one question
        request.prompt = source.choice(prompts)
    elif kind < 0.8:  # noqa: PLR2004 - some tell a long story, which is read in pieces
        request.prompt = " ".join(source.sample(prompts, source.randint(2, 8)))
    else:
        texts = source.sample(prompts, 2 * source.randint(1, MAX_TURNS) + 1)
        for number, text in enumerate(texts):
            role = pb.ROLE_AGENT if number % 2 else pb.ROLE_USER
            request.conversation.turns.add(role=role, text=text)


def _fill_stopping(source: random.Random, stopping: pb.StoppingCriteria) -> None:
    stopping.max_tokens = source.randint(1, MAX_TOKENS)
    if source.random() < 0.5:  # noqa: PLR2004 - half
        stopping.min_tokens = source.randint(0, stopping.max_tokens)
    if source.random() < 0.3:  # noqa: PLR2004 - some
        stopping.stop_sequences.extend(source.sample(STOP_SEQUENCES, source.randint(1, 3)))
