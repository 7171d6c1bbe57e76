"""Chooses tokens, in TorchScript, so that a row's choice depends on that row alone.

No float is ever summed in an order that could differ between batches or CPUs: `cumsum` adds
in sequence, and `sum` over the blocks of `draw` adds whole columns, in an order that depends on
their number only. `softmax`, `log_softmax` and sums along a row, whose order depends on the
instruction set, are not used. Powers are `exp2`, not `exp`: torch computes `exp` with MKL,
whose bits differ between AVX2 and AVX-512 machines (docs/adr/0001-exp2.md).

TorchScript reads the annotations of a NamedTuple as types, so this module does not
import ``annotations`` from ``__future__``; nor does it know constants of a module, which
therefore are functions.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from lstmserve_server.engine.row_params import RowParams


class Scores(NamedTuple):
    """What the log-probabilities of one step are made of, for the scored rows."""

    total: Tensor  # float64 [l]: sum of exp(logit - highest logit)
    chosen: Tensor  # float32 [l]: the chosen token's logit - highest logit
    top_ids: Tensor  # int64 [l, num_top]
    top: Tensor  # float32 [l, num_top]: logit - highest logit


def columns() -> int:
    """Into how many columns a row is folded: no vocabulary has a rest, no CPU a remainder."""
    return 64


def max_draws() -> int:
    """How often a filtered row is drawn before it is put in order after all."""
    return 8


def adjust(logits: Tensor, params: RowParams) -> None:
    """Bias, then penalties, on the rows that have any; logits [rows, tokens] are overwritten."""
    x = logits[params.adjusted].add_(params.bias)
    if params.any_repetition:
        # one of the two terms is 0; `torch.where` takes ten times as long
        negative = x.clamp(max=0).mul_(params.repetition)
        x = x.clamp_(min=0).div_(params.repetition).add_(negative)
    if params.any_counted:
        x = x.sub_(params.counts * params.frequency).sub_(params.presence)
    logits.index_copy_(0, params.adjusted, x)


def remember(tokens: Tensor, params: RowParams) -> None:
    """Note what was chosen, for the penalties of the next step; tokens int64 [rows]."""
    chosen = tokens[params.adjusted].unsqueeze(1)
    params.repetition.scatter_(1, chosen, params.repetition_of_seen)
    params.presence.scatter_(1, chosen, params.presence_of_seen)
    params.counts.scatter_add_(1, chosen, torch.ones_like(params.presence_of_seen))


def forbid_end(logits: Tensor, position: Tensor, params: RowParams, end_id: int) -> None:
    """Let no row end before its min_tokens; logits [rows, tokens] are overwritten."""
    logits[:, end_id] = torch.where(position < params.min_tokens, -10000.0, logits[:, end_id])


def choose(logits: Tensor, position: Tensor, first: Tensor, params: RowParams) -> Tensor:
    """One token per row, the most likely one or a sampled one, int64 [rows].

    Logits [rows, tokens] may be overwritten, position is int64 [k], and the numbers of the
    first draw are float64 [k, 2].
    """
    num_sampled = params.sampled.shape[0]
    if num_sampled == logits.shape[0]:
        return sample(logits, position, first, params)
    tokens = most_likely(logits)
    if num_sampled == 0:
        return tokens
    drawn = sample(logits[params.sampled], position, first, params)
    return tokens.index_copy(0, params.sampled, drawn)


def most_likely(logits: Tensor) -> Tensor:
    """The highest of each row, of equals the first; [rows, tokens] -> int64 [rows].

    By blocks: `argmax` reads one number at a time, a maximum whole registers.
    """
    blocks = logits.view(logits.shape[0], -1, columns())
    block = blocks.amax(dim=2).argmax(dim=1).view(-1, 1, 1)
    inside = blocks.gather(1, block.expand(-1, 1, columns())).squeeze(1).argmax(dim=1)
    return block.view(-1) * columns() + inside


def sample(logits: Tensor, position: Tensor, first: Tensor, params: RowParams) -> Tensor:
    """Tokens int64 [k] for the sampled rows, whose logits [k, tokens] are overwritten."""
    highest = logits.amax(dim=1, keepdim=True)  # a maximum has no order
    weights = logits.sub_(highest).mul_(params.sharpness).exp2_()
    tokens, total = draw(weights, first)
    if params.filtered.shape[0] > 0:
        tokens = keep_drawing(weights, tokens, total, position, params)
    return tokens.squeeze(1)


def draw(weights: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """A token per row with odds proportional to its weight, and the sum of all weights.

    Weights [k, tokens] of which one is 1, u float64 [k, 2] -> int64 [k, 1], float64 [k, 1].
    First a column of the row folded into 64 columns, by one number; then one in it.
    """
    column, total = _pick(_fold(weights), u[:, :1])
    blocks = weights.view(weights.shape[0], -1, columns())
    where = column.unsqueeze(1).expand(-1, blocks.shape[1], 1)
    block, _ = _pick(blocks.gather(2, where).squeeze(2), u[:, 1:])
    return block * columns() + column, total


def _fold(x: Tensor) -> Tensor:
    """The sums of every 64th, [rows, tokens] -> [rows, 64]; no CPU adds columns otherwise."""
    return x.view(x.shape[0], -1, columns()).sum(dim=1)


def _pick(weights: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """A place per row with odds proportional to its weight; [k, n], u [k, 1] -> [k, 1] twice."""
    mass = weights.cumsum(1, dtype=torch.float64)
    total = mass[:, -1:]
    # right: the first place whose running sum exceeds the target, so never one of weight 0
    return torch.searchsorted(mass, total * u, right=True), total


# --- top_k, top_p, min_p: draw from all, and again while what was drawn is not among the kept.
# The odds are exactly those of drawing among the kept ones, and no row is ever put in order.


def keep_drawing(
    weights: Tensor, tokens: Tensor, total: Tensor, position: Tensor, params: RowParams
) -> Tensor:
    """Tokens [k, 1] with those of the filtered rows drawn again until their filters keep them."""
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
    """Whether a token is among the kept: [f, tokens], the others [f, 1] -> bool [f, 1].

    Fewer than k are more likely, those have less than the share p of the mass (the limit), and
    it has at least min_p times the highest weight, which is 1.
    """
    own = weights.gather(1, tokens)
    kept = own >= min_p
    # a row asks for most of this only if it has top_k or top_p
    if bool(((top_k < weights.shape[1]) | limit.isfinite()).any()):
        # ones and zeros as floats: bool masks, and `torch.where` above all, take much longer
        heavier = torch.gt(weights, own, out=torch.empty_like(weights))
        kept = kept & (_fold(heavier).sum(dim=1, keepdim=True) < top_k)
        mass = _fold(heavier.mul_(weights)).cumsum(1, dtype=torch.float64)[:, -1:]
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


# --- random numbers


def uniform(seed: Tensor, position: Tensor, number: int) -> Tensor:
    """Two numbers in [0, 1) for each seed and position, by halves of the random bits.

    Seed int64 [k, 1], position int64 [k, n] -> float64 [k, n, 2]. The product of one of them
    with any total below 2^21 is below the total, as it must be.
    """
    bits = random_bits(seed, position, number)
    halves = torch.stack([bits >> 32, bits], dim=2) & 0xFFFFFFFF
    return halves.to(torch.float64) * 2.0**-32


def random_bits(seed: Tensor, position: Tensor, number: int) -> Tensor:
    """64 random bits from nothing but a seed, a position and the number of the draw; int64.

    The seed is mixed first: SplitMix64 streams of seeds that differ by a multiple of its
    increment would overlap. Draws of one position are 0 to max_draws().
    """
    golden = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed number
    return _mix(_mix(seed + golden) + (position * 16 + (number + 1)) * golden)


def _mix(x: Tensor) -> Tensor:
    """SplitMix64's finalizer (Steele, Lea and Flood, 2014), on int64 of the same bits."""
    x = (x ^ _shifted(x, 30)) * -4658895280553007687  # 0xBF58476D1CE4E5B9
    x = (x ^ _shifted(x, 27)) * -7723592293110705685  # 0x94D049BB133111EB
    return x ^ _shifted(x, 31)


def _shifted(x: Tensor, bits: int) -> Tensor:
    """Logical right shift of int64, which torch shifts arithmetically."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


# --- log-probabilities


def score(raw: Tensor, tokens: Tensor, num_top: int) -> Scores:
    """By the model's own distribution; raw logits [l, tokens], tokens int64 [l]."""
    relative = raw - raw.amax(dim=1, keepdim=True)
    total = torch.exp2(relative * 1.4426950408889634).cumsum(1, dtype=torch.float64)[:, -1]
    chosen = relative.gather(1, tokens.unsqueeze(1)).squeeze(1)
    top, top_ids = relative.topk(min(num_top, relative.shape[1]), dim=1)
    return Scores(total, chosen, top_ids, top)
