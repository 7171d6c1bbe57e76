"""How a token is chosen, once more, for one row, in Python and numpy.

Logits and weights are float32, sums are float64 from the first token to the last. Of torch
only `exp2` is used, for its bits (docs/adr/0001-exp2.md).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import torch

from lstmserve_server.engine.request import GenerationRequest, SamplingParams
from support.reference_model import Floats

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
LOG2_E = math.log2(math.e)
NEVER = np.float32(-10000)


def log_probabilities(raw: Floats) -> list[float]:
    """Of every token in nats, before anything a request may ask for."""
    relative = raw - raw.max()
    weights = _exp2(relative * np.float32(LOG2_E))
    norm = math.log(_running_sums(weights)[-1])
    return [x - norm for x in relative.tolist()]


def choose(raw: Floats, request: GenerationRequest, reply: Sequence[int], end_id: int) -> int:
    """The token that follows ``reply``."""
    params = request.sampling
    logits = adjust(raw, request, reply, end_id)
    if params.temperature == 0:
        return int(np.argmax(logits))  # of equals, the first
    u = uniform(params.seed, len(reply))
    return _draw(filtered_weights(logits, params), u)


def adjust(raw: Floats, request: GenerationRequest, reply: Sequence[int], end_id: int) -> Floats:
    """Logits after logit_bias, the penalties and min_tokens, in this order."""
    params = request.sampling
    logits = raw.copy()
    for token_id, bias in params.logit_bias:
        logits[token_id] += np.float32(bias)
    for token_id in {*request.prompt_ids, *reply}:
        is_positive = logits[token_id] > 0
        factor = np.float32(params.repetition_penalty)
        logits[token_id] = logits[token_id] / factor if is_positive else logits[token_id] * factor
    for token_id, times in Counter(reply).items():
        logits[token_id] -= np.float32(params.frequency_penalty) * np.float32(times)
        logits[token_id] -= np.float32(params.presence_penalty)
    if len(reply) < request.min_tokens:
        logits[end_id] = NEVER
    return logits


def filtered_weights(logits: Floats, params: SamplingParams) -> Floats:
    """Weights in proportion to which tokens are drawn; 0 for those that are ruled out."""
    sharpness = np.float32(min(LOG2_E / params.temperature, 1e6))
    weights = _exp2((logits - logits.max()) * sharpness)
    weights[weights < _lowest_kept(weights, params.top_k, params.top_p)] = 0
    weights[weights < np.float32(params.min_p)] = 0
    return weights


def _lowest_kept(weights: Floats, top_k: int, top_p: float) -> float:
    """Tokens as likely as the last one kept are kept too."""
    ordered = sorted(weights.tolist(), reverse=True)[: top_k or None]
    lowest = ordered[-1] if top_k else 0.0
    if top_p < 1:
        mass = list(accumulate(ordered))
        enough = top_p * (mass[-1] if top_k else _running_sums(weights)[-1])
        # the last one, should rounding leave the whole a little short of enough
        lowest = next((w for w, m in zip(ordered, mass, strict=True) if m >= enough), ordered[-1])
    return lowest


def uniform(seed: int, position: int) -> float:
    """In [0, 1): SplitMix64 of the seed's own stream at this position, its upper 32 bits."""
    stream = _mix(seed + GOLDEN)
    return (_mix(stream + (position + 1) * GOLDEN) >> 32) / 2**32


def _mix(x: int) -> int:
    """SplitMix64's finalizer (Steele, Lea and Flood, 2014)."""
    x &= MASK
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & MASK
    return x ^ (x >> 31)


def _draw(weights: Floats, u: float) -> int:
    sums = _running_sums(weights)
    target = u * sums[-1]
    return next(token_id for token_id, mass in enumerate(sums) if mass > target)


def _running_sums(weights: Floats) -> list[float]:
    return list(accumulate(weights.tolist()))  # Python's floats are float64


def _exp2(x: Floats) -> Floats:
    values: Floats = torch.exp2(torch.from_numpy(x)).numpy()
    return values
