"""Chooses tokens, in TorchScript, so that a row's choice depends on that row alone.

`softmax`, `log_softmax` and sums along a row, whose order depends on the instruction set, are
not used. Powers are `exp2`, not `exp`: torch computes `exp` with MKL,
whose bits differ between AVX2 and AVX-512 machines (docs/adr/0001-exp2.md).
"""

import torch
from torch import Tensor

from lstmserve_server.engine.decoding.drawing import column_mass, columns, draw
from lstmserve_server.engine.decoding.filters import keep_drawing
from lstmserve_server.engine.decoding.row_params import RowParams

Scores = tuple[Tensor, Tensor, Tensor, Tensor]
"""What the log-probabilities of one step are made of, for l scored rows.

float64 [l], the sum of exp(logit - highest logit); float32 [l], the chosen token's logit - highest
logit; int64 [l, num_top], the most likely tokens; float32 [l, num_top], theirs. No NamedTuple: for
each that TorchScript returns, torch makes a class in Python.
"""


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


def forbid_end(logits: Tensor, is_too_early: Tensor, end_id: int) -> None:
    """Let these rows not end, bool [rows]; logits [rows, tokens] are overwritten."""
    logits[:, end_id].masked_fill_(is_too_early, -10000.0)


def choose(logits: Tensor, u: Tensor, params: RowParams) -> Tensor:
    """Choose one token per row, the most likely one or a sampled one, int64 [rows].

    Logits [rows, tokens] may be overwritten; u float64 [k, draws, 2] are random numbers.
    """
    num_sampled = params.sampled.shape[0]
    if num_sampled == logits.shape[0]:
        return sample(logits, u, params)
    tokens = most_likely(logits)
    if num_sampled == 0:
        return tokens
    drawn = sample(logits[params.sampled], u, params)
    return tokens.index_copy(0, params.sampled, drawn)


def most_likely(logits: Tensor) -> Tensor:
    """Return the highest of each row, of equals the first; [rows, tokens] -> int64 [rows].

    By blocks: `argmax` reads one number at a time, a maximum whole registers.
    """
    blocks = logits.view(logits.shape[0], -1, columns())
    block = blocks.amax(dim=2).argmax(dim=1).view(-1, 1, 1)
    inside = blocks.gather(1, block.expand(-1, 1, columns())).squeeze(1).argmax(dim=1)
    return block.view(-1) * columns() + inside


def sample(logits: Tensor, u: Tensor, params: RowParams) -> Tensor:
    """Return tokens int64 [k] of the sampled rows, whose logits [k, tokens] are overwritten."""
    highest = logits.amax(dim=1, keepdim=True)  # a maximum has no order
    weights = logits.sub_(highest).mul_(params.sharpness).exp2_()
    mass = column_mass(weights)
    tokens = draw(weights, mass, u[:, :1])
    if params.filtered.shape[0] > 0:
        tokens = keep_drawing(weights, mass, tokens, u, params)
    return tokens.squeeze(1)


def score(raw: Tensor, tokens: Tensor, num_top: int) -> Scores:
    """Score by the model's own distribution; raw logits [l, tokens], tokens int64 [l]."""
    relative = raw - raw.amax(dim=1, keepdim=True)
    total = torch.exp2(relative * 1.4426950408889634).cumsum(1, dtype=torch.float64)[:, -1]
    chosen = relative.gather(1, tokens.unsqueeze(1)).squeeze(1)
    top, top_ids = relative.topk(min(num_top, relative.shape[1]), dim=1)
    return total, chosen, top_ids, top
