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
    """Any request without penalties."""
    max_tokens = rng.randint(1, 40)
    sampling = SamplingParams(
        temperature=rng.choice([0.0, 0.3, 1.0, 2.0]),
        top_k=rng.choice([0, 0, 1, 7, 300]),
        top_p=rng.choice([1.0, 1.0, 0.95, 0.2]),
        min_p=rng.choice([0.0, 0.0, 0.05, 0.5]),
        seed=rng.getrandbits(64),
        num_logprobs=rng.choice([None, None, None, 0, 4]),
    )
    return GenerationRequest(
        prompt_ids(bundle, rng.choice(PROMPTS)),
        sampling,
        max_tokens,
        min_tokens=rng.choice([0, 0, rng.randint(0, max_tokens)]),
        stop_sequences=tuple(rng.sample(["e", "您", "is on", "!!"], rng.choice([0, 0, 1, 2]))),
    )
