"""top_k, top_p and min_p: draw from all tokens, and again while what was drawn is not kept.

The odds are those of drawing among the kept ones. Only rows that were refused too often are put
in order after all (docs/adr/0005-drawing-again.md). TorchScript.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lstmserve_server.engine.decoding.drawing import draw, fold, uniform
from lstmserve_server.engine.decoding.row_params import RowParams


def max_draws() -> int:
    """Return how often a filtered row is drawn before it is sorted after all."""
    return 8


def keep_drawing(
    weights: Tensor, tokens: Tensor, total: Tensor, position: Tensor, params: RowParams
) -> Tensor:
    """Draw the tokens of filtered rows again until their filters keep them; tokens [k, 1]."""
    left = params.filtered
    some = weights if left.shape[0] == weights.shape[0] else weights[left]
    limit, top_k, min_p = total[left] * params.top_p, params.top_k, params.min_p
    for number in range(1, max_draws() + 1):
        kept = is_kept(some, tokens[left], limit, top_k, min_p)
        again = torch.nonzero(~kept.squeeze(1)).squeeze(1)
        if again.shape[0] == 0:
            return tokens
        left, some = left[again], some[again]
        limit, top_k, min_p = limit[again], top_k[again], min_p[again]
        if number == max_draws():
            some = keep_likely(some, limit, top_k, min_p)
        again_u = uniform(params.seed[left], position[left].unsqueeze(1), number).squeeze(1)
        tokens = tokens.index_copy(0, left, draw(some, again_u)[0])
    return tokens


def is_kept(weights: Tensor, tokens: Tensor, limit: Tensor, top_k: Tensor, min_p: Tensor) -> Tensor:
    """Return whether a token is kept: [f, tokens], the others [f, 1] -> bool [f, 1].

    Fewer than k are more likely, those have less than the share p of the mass (the limit), and
    it has at least min_p times the highest weight, which is 1.
    """
    own = weights.gather(1, tokens)
    kept = own >= min_p
    # a row asks for most of this only if it has top_k or top_p
    if bool(((top_k < weights.shape[1]) | limit.isfinite()).any()):
        # ones and zeros as floats: bool masks, and `torch.where` above all, take much longer
        heavier = torch.gt(weights, own, out=torch.empty_like(weights))
        kept = kept & (fold(heavier).sum(dim=1, keepdim=True) < top_k)
        mass = fold(heavier.mul_(weights)).cumsum(1, dtype=torch.float64)[:, -1:]
        kept = kept & (mass < limit)
    return kept


def keep_likely(weights: Tensor, limit: Tensor, top_k: Tensor, min_p: Tensor) -> Tensor:
    """Zero the weights of all that `is_kept` would refuse; [f, tokens], the others [f, 1]."""
    ordered = weights.sort(dim=1, descending=True).values
    before = ordered.cumsum(1, dtype=torch.float64) - ordered
    rank = torch.arange(ordered.shape[1])
    kept = (rank < top_k) & (before < limit) & (ordered >= min_p)
    lowest = torch.where(kept, ordered, 1.0).amin(dim=1, keepdim=True)
    return torch.where(weights >= lowest, weights, 0.0)
