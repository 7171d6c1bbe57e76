"""The sampling parameters of the running rows, as the tensors that the sampler reads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lstmserve_server.engine.request import MAX_LOGPROBS, SamplingParams
from lstmserve_server.engine.sampler import RowParams

LOG2_E = math.log2(math.e)
NO_LIMIT = 2.0  # a share of the mass that nothing reaches


@dataclass(frozen=True, slots=True)
class DecodeRow:
    """What one row of a decode call needs to know."""

    token_id: int  # read by the first step
    position: int  # of the token that the first step chooses
    sampling: SamplingParams
    min_tokens: int
    prompt_ids: Sequence[int] = ()  # what penalties look at
    reply_ids: Sequence[int] = ()


def make_params(rows: Sequence[DecodeRow], num_tokens: int) -> RowParams:
    """The parameters of rows, of which a model has this many tokens to choose from."""
    asked = [row.sampling for row in rows]
    sampled = [number for number, params in enumerate(asked) if params.temperature > 0]
    drawn = [asked[row] for row in sampled]
    filtered = [place for place, params in enumerate(drawn) if params.is_filtered]
    kept = [drawn[place] for place in filtered]
    adjusted = [number for number, params in enumerate(asked) if params.is_adjusted]
    changed = [asked[row] for row in adjusted]
    repetition = _column([params.repetition_penalty for params in changed])
    presence = _column([params.presence_penalty for params in changed])
    counts = _counts([rows[number].reply_ids for number in adjusted], num_tokens)
    seen = counts + _counts([rows[number].prompt_ids for number in adjusted], num_tokens) > 0
    return RowParams(
        sampled=_integers(sampled),
        seed=_integers([_signed(params.seed) for params in drawn]).unsqueeze(1),
        sharpness=_column([_sharpness(params.temperature) for params in drawn]),
        filtered=_integers(filtered),
        top_k=_integers([params.top_k or num_tokens for params in kept]).unsqueeze(1),
        top_p=_column([params.top_p if params.top_p < 1 else NO_LIMIT for params in kept]).double(),
        min_p=_column([params.min_p for params in kept]),
        adjusted=_integers(adjusted),
        bias=_biases(changed, num_tokens),
        any_repetition=any(params.repetition_penalty != 1 for params in changed),
        repetition_of_seen=repetition,
        repetition=torch.where(seen, repetition, 1.0),
        any_counted=any(params.frequency_penalty or params.presence_penalty for params in changed),
        frequency=_column([params.frequency_penalty for params in changed]),
        counts=counts,
        presence_of_seen=presence,
        presence=torch.where(counts > 0, presence, 0.0),
        min_tokens=_integers([row.min_tokens for row in rows]),
        any_min_tokens=any(row.position < row.min_tokens for row in rows),
        scored=_integers([n for n, params in enumerate(asked) if params.num_logprobs is not None]),
        num_top=MAX_LOGPROBS,
    )


def _integers(values: Sequence[int]) -> Tensor:
    return torch.tensor(values, dtype=torch.int64)


def _column(values: Sequence[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).unsqueeze(1)


def _signed(value: int) -> int:
    """An unsigned 64-bit number as the int64 of the same bits."""
    return value - (1 << 64) if value >= 1 << 63 else value


def _sharpness(temperature: float) -> float:
    return min(LOG2_E / temperature, 1e6)  # bounded: 0 times infinity would be no number


def _biases(params: Sequence[SamplingParams], num_tokens: int) -> Tensor:
    """-> float32 [rows, tokens]."""
    biases = torch.zeros(len(params), num_tokens)
    for row, one in enumerate(params):
        for token_id, bias in one.logit_bias:
            biases[row, token_id] = bias
    return biases


def _counts(token_ids: Sequence[Sequence[int]], num_tokens: int) -> Tensor:
    """How often each token stands in each row; -> float32 [rows, tokens]."""
    counts = torch.zeros(len(token_ids), num_tokens)
    for row, ids in enumerate(token_ids):
        counts[row] = torch.bincount(_integers(ids), minlength=num_tokens)
    return counts
