"""Replies of many seeds follow the model's distribution, through the whole engine.

Two tokens long, so that what is tested is the decode loop as well: that the second token
follows the distribution after the first, and owes nothing to the random number of the first.

Seeds are 0 to 12,287: on an unchanged engine these tests cannot fail by chance. An engine
that is changed and still right fails each of them with odds of one in a million.
"""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import replace

import pytest

from lstmserve_server.engine.request import GenerationRequest, SamplingParams
from support.distribution import Tokens, draw_replies, p_value, pair_odds
from support.engines import LoadedModel, prompt_ids, run_together
from support.reference import ReferenceDecoder

DRAWS = 12_288
FALSE_FAILURE_ODDS = 1e-6
SAMPLINGS = {
    "plain": SamplingParams(),
    "filtered": SamplingParams(temperature=2.0, top_k=30, top_p=0.9, min_p=0.03),
    "penalties": SamplingParams(
        repetition_penalty=1.4,
        frequency_penalty=0.5,
        presence_penalty=1.0,
        logit_bias=((5, -2.0), (6, 1.0)),
        top_p=0.97,
    ),
}


def make_request(model: LoadedModel, sampling: SamplingParams) -> GenerationRequest:
    return GenerationRequest(prompt_ids(model.bundle, "hi"), sampling, max_tokens=2)


@pytest.fixture(scope="module")
def drawn(tiny: LoadedModel) -> dict[str, Counter[Tokens]]:
    """Replies by the name of their parameters, all of which share every batch."""
    requests = [make_request(tiny, sampling) for sampling in SAMPLINGS.values()]
    return dict(zip(SAMPLINGS, draw_replies(tiny, requests, DRAWS), strict=True))


@pytest.mark.parametrize("name", SAMPLINGS)
def test_replies_follow_the_distribution(
    tiny: LoadedModel, reference: ReferenceDecoder, drawn: dict[str, Counter[Tokens]], name: str
) -> None:
    odds = pair_odds(tiny, reference, make_request(tiny, SAMPLINGS[name]))
    assert p_value(drawn[name], odds) > FALSE_FAILURE_ODDS


def test_a_temperature_five_per_cent_off_is_found(
    tiny: LoadedModel, reference: ReferenceDecoder, drawn: dict[str, Counter[Tokens]]
) -> None:
    """The test above would notice."""
    off = make_request(tiny, SamplingParams(temperature=1.05))
    assert p_value(drawn["plain"], pair_odds(tiny, reference, off)) < FALSE_FAILURE_ODDS


def test_one_seed_gives_different_luck_to_different_prompts(tiny: LoadedModel) -> None:
    """Of 64 prompts that all toss the same coin, under each of 20 seeds.

    Were the random numbers those of the seed alone, nearly all prompts would see the same side.
    """
    coin = SamplingParams(temperature=2.0, logit_bias=((70, 100.0), (200, 100.0)))
    prompts = [prompt_ids(tiny.bundle, f"question {number}") for number in range(64)]
    shares = []
    for seed in range(20):
        sampling = replace(coin, seed=seed)
        asked = [GenerationRequest(prompt, sampling, max_tokens=1) for prompt in prompts]
        heads = [reply.token_ids == [70] for reply in run_together(tiny, asked)]
        shares.append(sum(heads) / len(heads))
    # of 64 fair coins it is 0.0625
    assert statistics.stdev(shares) < 0.1
