"""Requests of every kind that the server would let in."""

from __future__ import annotations

import random

from lstmserve_bundle import Bundle
from lstmserve_server.engine.request import GenerationRequest, SamplingParams
from support.engines import prompt_ids

PROMPTS = (
    "hello",
    "where is my parcel, I have been waiting for it since Monday",
    "包裹到了吗",
    "thanks 👍",
    "i love it " * 12,
)


def random_request(bundle: Bundle, rng: random.Random) -> GenerationRequest:
    """Any request; options that cost something are as a rule not asked for."""
    max_tokens = rng.randint(1, 40)
    sampling = SamplingParams(
        temperature=rng.choice([0.0, 0.3, 1.0, 2.0]),
        top_k=rng.choice([0, 0, 1, 7, 300]),
        top_p=rng.choice([1.0, 1.0, 0.95, 0.2]),
        min_p=rng.choice([0.0, 0.0, 0.05, 0.5]),
        seed=rng.getrandbits(64),
        num_logprobs=rng.choice([None, None, None, 0, 4]),
        repetition_penalty=rng.choice([1.0, 1.0, 1.3, 0.8]),
        frequency_penalty=rng.choice([0.0, 0.0, 0.0, 0.7, -1.5]),
        presence_penalty=rng.choice([0.0, 0.0, 0.0, 2.0, -0.3]),
        logit_bias=random_bias(bundle, rng) if rng.random() < 0.2 else (),
    )
    return GenerationRequest(
        prompt_ids(bundle, rng.choice(PROMPTS)),
        sampling,
        max_tokens,
        min_tokens=rng.choice([0, 0, rng.randint(0, max_tokens)]),
        stop_sequences=tuple(rng.sample(["e", "您", "is on", "!!"], rng.choice([0, 0, 1, 2]))),
    )


def random_bias(bundle: Bundle, rng: random.Random) -> tuple[tuple[int, float], ...]:
    """For a few tokens, as strong as a bias may be."""
    token_ids = rng.sample(range(bundle.manifest.sizes.vocabulary), rng.randint(1, 9))
    return tuple((token_id, rng.uniform(-100, 100) * rng.random() ** 3) for token_id in token_ids)
