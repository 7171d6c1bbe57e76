"""Chooses tokens, in TorchScript, so that a row's choice depends on that row alone.

No float is ever summed in an order that could differ: `cumsum` adds in sequence, and
`softmax`, `log_softmax` and other reductions, whose order depends on the instruction
set, are not used. Powers are `exp2`, not `exp`: torch computes `exp` with MKL, whose bits
differ between AVX2 and AVX-512 machines (docs/adr/0001-exp2.md).

TorchScript reads the annotations of a NamedTuple as types, so this module does not
import ``annotations`` from ``__future__``.
"""

from typing import NamedTuple

import torch
from torch import Tensor


def signed(value: int) -> int:
    """An unsigned 64-bit number as the int64 of the same bits."""
    return value - (1 << 64) if value >= 1 << 63 else value


class RowParams(NamedTuple):
    """The sampling parameters of the running rows; what no row asks for costs nothing.

    k rows are sampled (not greedy), f of those have top_k or top_p, l rows want
    log-probabilities. The parameters stand in the order of their index.
    """

    sampled: Tensor  # int64 [k]: rows
    seed: Tensor  # int64 [k, 1]
    sharpness: Tensor  # float32 [k, 1]: log2(e) / temperature
    min_p: Tensor  # float32 [k, 1]
    any_min_p: bool
    filtered: Tensor  # int64 [f]: places in `sampled`
    top_k: Tensor  # int64 [f]; 0 for all
    top_p: Tensor  # float64 [f]
    min_tokens: Tensor  # int64 [rows]
    any_min_tokens: bool
    scored: Tensor  # int64 [l]: rows
    num_top: int  # the same for every batch: the order of equals in `topk` depends on it


class Choice(NamedTuple):
    """One step's tokens, and for the scored rows what log-probabilities are made of."""

    tokens: Tensor  # int64 [rows]
    total: Tensor  # float64 [l]: sum of exp(logit - highest logit)
    chosen: Tensor  # float32 [l]: the chosen token's logit - highest logit
    top_ids: Tensor  # int64 [l, num_top]
    top: Tensor  # float32 [l, num_top]: logit - highest logit


def _shifted(x: Tensor, bits: int) -> Tensor:
    """Logical right shift of int64, which torch shifts arithmetically."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _mix(x: Tensor) -> Tensor:
    """SplitMix64's finalizer (Steele, Lea and Flood, 2014), on int64 of the same bits."""
    x = (x ^ _shifted(x, 30)) * -4658895280553007687  # 0xBF58476D1CE4E5B9
    x = (x ^ _shifted(x, 27)) * -7723592293110705685  # 0x94D049BB133111EB
    return x ^ _shifted(x, 31)


def uniform(seed: Tensor, position: Tensor) -> Tensor:
    """A number in [0, 1) from nothing but a seed and a position, int64 of any shapes.

    The seed is mixed first: SplitMix64 streams of seeds that differ by a multiple of its
    increment would overlap.
    """
    golden = -7046029254386353131  # 0x9E3779B97F4A7C15
    bits = _mix(_mix(seed + golden) + (position + 1) * golden)
    # 32 bits: the product with any total below 2^21 is then below the total, as it must be
    return _shifted(bits, 32).to(torch.float64) * (2.0**-32)


def keep_likely(weights: Tensor, top_k: Tensor, top_p: Tensor) -> Tensor:
    """Zero the weights of unlikely tokens; weights [f, tokens], params [f].

    Keeps the k most likely, then of those the fewest that hold the share p of their
    mass. Tokens as likely as the last one kept are kept too, so ties need no order.
    """
    total = weights.cumsum(1, dtype=torch.float64)[:, -1]
    few = min(256, weights.shape[1])  # nearly always enough, and found faster than a full order
    lowest, is_found = _lowest_kept(weights.topk(few, dim=1).values, total, top_k, top_p)
    if not bool(is_found.all()):
        ordered = weights.sort(dim=1, descending=True).values
        lowest, is_found = _lowest_kept(ordered, total, top_k, top_p)
    return torch.where(weights >= lowest.unsqueeze(1), weights, 0.0)


def _lowest_kept(
    ordered: Tensor, total: Tensor, top_k: Tensor, top_p: Tensor
) -> tuple[Tensor, Tensor]:
    """The lowest weight each row keeps, and whether ``ordered`` reached far enough to tell.

    ordered [f, n] are the highest weights, highest first; total [f] is over all tokens.
    The values do not depend on n: running sums from the top are the same for any n.
    """
    last = ordered.shape[1] - 1
    rank = (top_k - 1).clamp(min=0, max=last).unsqueeze(1)
    mass = ordered.cumsum(1, dtype=torch.float64)
    enough = top_p * torch.where(top_k > 0, mass.gather(1, rank).squeeze(1), total)
    num_short = (mass < enough.unsqueeze(1)).sum(dim=1)
    nucleus = ordered.gather(1, num_short.clamp(max=last).unsqueeze(1)).squeeze(1)
    by_rank = torch.where(top_k > 0, ordered.gather(1, rank).squeeze(1), 0.0)
    by_mass = torch.where(top_p < 1.0, nucleus, 0.0)
    is_found = (top_k <= last + 1) & ((top_p >= 1.0) | (num_short <= last))
    return torch.maximum(by_rank, by_mass), is_found


def draw(weights: Tensor, u: Tensor) -> Tensor:
    """A token per row with odds proportional to its weight; weights [k, tokens], u [k]."""
    mass = weights.cumsum(1, dtype=torch.float64)
    # right: the first token whose running sum exceeds the target, so never one of weight 0
    return torch.searchsorted(mass, u.unsqueeze(1) * mass[:, -1:], right=True).squeeze(1)


def sample(logits: Tensor, u: Tensor, params: RowParams) -> Tensor:
    """Tokens for the sampled rows; logits [k, tokens], u [k] -> int64 [k]."""
    relative = logits - logits.amax(dim=1, keepdim=True)  # a maximum has no order
    weights = torch.exp2(relative * params.sharpness)
    if params.filtered.shape[0] > 0:
        where = params.filtered
        weights = weights.index_copy(
            0, where, keep_likely(weights[where], params.top_k, params.top_p)
        )
    if params.any_min_p:
        # the most likely token's weight is exactly 1
        weights = torch.where(weights >= params.min_p, weights, 0.0)
    return draw(weights, u)


def choose(logits: Tensor, u: Tensor, params: RowParams) -> Tensor:
    """One token per row, the most likely one or a sampled one; logits [rows, tokens], u [k]."""
    num_sampled = params.sampled.shape[0]
    if num_sampled == logits.shape[0]:
        return sample(logits, u, params)
    tokens = logits.argmax(dim=1)  # of equals, the first
    if num_sampled == 0:
        return tokens
    return tokens.index_copy(0, params.sampled, sample(logits[params.sampled], u, params))


def forbid_end(logits: Tensor, position: Tensor, params: RowParams, end_id: int) -> Tensor:
    """Logits [rows, tokens] under which no row ends before its min_tokens."""
    allowed = logits.clone()
    never = torch.full_like(logits[:, end_id], -10000.0)
    allowed[:, end_id] = torch.where(position < params.min_tokens, never, logits[:, end_id])
    return allowed


def score(logits: Tensor, tokens: Tensor, params: RowParams) -> Choice:
    """What log-probabilities need, by the model's own distribution; logits [rows, tokens]."""
    if params.scored.shape[0] == 0:
        none = torch.empty(0)
        return Choice(tokens, none, none, none, none)
    raw = logits[params.scored]
    relative = raw - raw.amax(dim=1, keepdim=True)
    total = torch.exp2(relative * 1.4426950408889634).cumsum(1, dtype=torch.float64)[:, -1]
    chosen = relative.gather(1, tokens[params.scored].unsqueeze(1)).squeeze(1)
    top, top_ids = relative.topk(min(params.num_top, relative.shape[1]), dim=1)
    return Choice(tokens, total, chosen, top_ids, top)
