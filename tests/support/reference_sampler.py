"""How a token is chosen, once more, for one row, in Python and numpy.

Logits and weights are float32. Of torch only `exp2` is used, for its bits
(docs/adr/0001-exp2.md).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import torch

from lstmserve_server.engine.request import GenerationRequest, SamplingParams
from support.reference_draw import draw, mass, random_bits, random_stream, running_sums
from support.reference_form import ReferenceForm, ReferenceGrammar
from support.reference_model import Floats

LOG2_E = math.log2(math.e)
NEVER = np.float32(-10000)
MAX_DRAWS = 8


def log_probabilities(raw: Floats) -> list[float]:
    """Of every token in nats, before anything a request may ask for."""
    relative = raw - raw.max()
    weights = _exp2(relative * np.float32(LOG2_E))
    norm = math.log(running_sums(weights)[-1])
    return [x - norm for x in relative.tolist()]


def choose(
    raw: Floats,
    request: GenerationRequest,
    reply: Sequence[int],
    end_id: int,
    form: ReferenceForm | ReferenceGrammar | None = None,
) -> int:
    """The token that follows ``reply``."""
    params = request.sampling
    logits = adjust(raw, request, reply, end_id)
    if form is not None:
        allowed = sorted(form.allowed(reply, request.max_tokens))
        kept = np.full_like(logits, -np.inf)
        kept[allowed] = logits[allowed]
        logits = kept
    if params.temperature == 0:
        return int(np.argmax(logits))  # of equals, the first
    weights = _weights(logits, params)
    stream = random_stream(params.seed, request.prompt_ids)
    bits = [random_bits(stream, len(reply), number) for number in range(MAX_DRAWS + 1)]
    for number in range(MAX_DRAWS):
        token_id = draw(weights, bits[number])
        if _is_kept(weights, token_id, params):
            return token_id
    return draw(_keep_likely(weights, params), bits[MAX_DRAWS])


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
    return _keep_likely(_weights(logits, params), params)


def _weights(logits: Floats, params: SamplingParams) -> Floats:
    sharpness = np.float32(min(LOG2_E / params.temperature, 1e6))
    return _exp2((logits - logits.max()) * sharpness)


def _is_kept(weights: Floats, token_id: int, params: SamplingParams) -> bool:
    """Tokens more likely than this one: fewer than top_k, with less than top_p of the mass."""
    own = weights[token_id]
    heavier = np.where(weights > own, weights, np.float32(0))
    return bool(
        np.count_nonzero(heavier) < (params.top_k or len(weights))
        and mass(heavier) < _limit(weights, params)
        and own >= np.float32(params.min_p)
    )


def _keep_likely(weights: Floats, params: SamplingParams) -> Floats:
    """The same from the other side; tokens as likely as the last one kept are kept too."""
    ordered = sorted(weights.tolist(), reverse=True)
    limit, least = _limit(weights, params), np.float32(params.min_p)
    lowest = 1.0
    for weight, reached in zip(ordered[: params.top_k or None], accumulate(ordered), strict=False):
        if reached - weight < limit and weight >= least:
            lowest = weight
    return np.where(weights >= lowest, weights, np.float32(0))


def _limit(weights: Floats, params: SamplingParams) -> float:
    share = float(np.float32(params.top_p)) if params.top_p < 1 else math.inf
    return share * mass(weights)


def _exp2(x: Floats) -> Floats:
    values: Floats = torch.exp2(torch.from_numpy(x)).numpy()
    return values
