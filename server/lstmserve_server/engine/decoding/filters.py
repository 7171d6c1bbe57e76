"""top_k, top_p and min_p: draw from all tokens, and again while what was drawn is not kept.

The odds are those of drawing among the kept ones. Only rows that were refused too often are put
in order after all (docs/adr/0005-drawing-again.md). TorchScript.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lstmserve_server.engine.decoding.drawing import column_mass, draw, draw_in, fold
from lstmserve_server.engine.decoding.row_params import RowParams


def max_draws() -> int:
    """Return how often a filtered row is drawn before it is sorted after all."""
    return 8


def keep_drawing(
    weights: Tensor, mass: Tensor, tokens: Tensor, u: Tensor, params: RowParams
) -> Tensor:
    """Draw the tokens of filtered rows again until their filters keep them; tokens [k, 1].

    Mass is the ``column_mass`` of weights, and u float64 [k, draws, 2] the numbers of all draws.
    """
    places = _find_refused(weights, mass, tokens, params)
    if places.shape[0] == 0:
        return tokens
    rows = params.filtered[places]
    return tokens.index_copy(0, rows, _draw_again(weights, mass[rows], rows, places, u, params))


def _find_refused(weights: Tensor, mass: Tensor, tokens: Tensor, params: RowParams) -> Tensor:
    """Return the places in `filtered` of the rows whose tokens [k, 1] are not kept."""
    rows = params.filtered
    if rows.shape[0] < weights.shape[0]:
        weights, mass, tokens = weights[rows], mass[rows], tokens[rows]
    limit = mass[:, -1:] * params.top_p
    kept = is_kept(weights, tokens, limit, params.top_k, params.min_p, params.any_ranked)
    return torch.nonzero(~kept.squeeze(1)).squeeze(1)


def _draw_again(
    weights: Tensor, mass: Tensor, rows: Tensor, places: Tensor, u: Tensor, params: RowParams
) -> Tensor:
    """Return tokens [r, 1] for refused rows, which stand at these places of `filtered`.

    All draws that may be needed are made at once: that costs less than to look in between.
    """
    u, limit = u[rows], mass[:, -1:] * params.top_p[places]
    top_k, min_p = params.top_k[places], params.min_p[places]
    drawn = draw_in(weights, rows, mass, u[:, 1:-1])
    if params.any_ranked:
        first = _first_kept(weights[rows], drawn, limit, top_k, min_p)
    else:
        first = _first_heavy(weights, rows, drawn, min_p)
    tokens = drawn.gather(1, first.clamp(max=drawn.shape[1] - 1))
    none = torch.nonzero(first.squeeze(1) == drawn.shape[1]).squeeze(1)
    if none.shape[0] > 0:
        likely = keep_likely(weights[rows[none]], limit[none], top_k[none], min_p[none])
        last = draw(likely, column_mass(likely), u[none][:, -1:])
        tokens = tokens.index_copy(0, none, last)
    return tokens


def _first_heavy(weights: Tensor, rows: Tensor, drawn: Tensor, min_p: Tensor) -> Tensor:
    """Return what ``_first_kept`` does where nothing but min_p filters, for rows of the weights."""
    n = drawn.shape[1]
    own = weights.take((rows * weights.shape[1]).unsqueeze(1) + drawn)
    kept = (own >= min_p).to(torch.int64)
    return n - (kept * torch.arange(n, 0, -1)).amax(dim=1, keepdim=True)


def _first_kept(
    weights: Tensor, drawn: Tensor, limit: Tensor, top_k: Tensor, min_p: Tensor
) -> Tensor:
    """Return the number of the first token of each row that is kept, [r, n] -> int64 [r, 1].

    It is n where none is.
    """
    n = drawn.shape[1]
    first = torch.full((drawn.shape[0], 1), n, dtype=torch.int64)
    left = torch.arange(drawn.shape[0])
    for number in range(n):
        tokens = drawn[left, number : number + 1]
        kept = is_kept(weights[left], tokens, limit[left], top_k[left], min_p[left], True)
        first[left] = torch.where(kept, number, first[left])
        left = left[torch.nonzero(~kept.squeeze(1)).squeeze(1)]
        if left.shape[0] == 0:
            break
    return first


def is_kept(
    weights: Tensor, tokens: Tensor, limit: Tensor, top_k: Tensor, min_p: Tensor, any_ranked: bool
) -> Tensor:
    """Return whether a token is kept: [f, tokens], the others [f, 1] -> bool [f, 1].

    Fewer than k are more likely, those have less than the share p of the mass (the limit), and
    it has at least min_p times the highest weight, which is 1.
    """
    own = weights.gather(1, tokens)
    kept = own >= min_p
    if any_ranked:  # a row asks for most of this only if it has top_k or top_p
        # ones and zeros as floats: bool masks, and `torch.where` above all, take much longer
        heavier = torch.gt(weights, own, out=torch.empty_like(weights))
        kept = kept & (fold(heavier).sum(dim=1, keepdim=True) < top_k)
        mass = column_mass(heavier.mul_(weights))[:, -1:]
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
