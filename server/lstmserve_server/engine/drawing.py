"""Draws tokens by their weights, in TorchScript.

No float is summed in an order that could differ between batches or CPUs: `cumsum` adds in
sequence, and a sum over blocks adds whole columns, in an order that depends on their number
only. TorchScript knows no constants of a module, which therefore are functions.
"""

from __future__ import annotations

import torch
from torch import Tensor


def columns() -> int:
    """Into how many columns a row is folded: no vocabulary has a rest, no CPU a remainder."""
    return 64


def draw(weights: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """A token per row with odds proportional to its weight, and the sum of all weights.

    Weights [k, tokens] of which one is 1, u float64 [k, 2] -> int64 [k, 1], float64 [k, 1].
    First a column of the row folded into 64 columns, by one number; then one in it.
    """
    column, total = _pick(fold(weights), u[:, :1])
    blocks = weights.view(weights.shape[0], -1, columns())
    where = column.unsqueeze(1).expand(-1, blocks.shape[1], 1)
    block, _ = _pick(blocks.gather(2, where).squeeze(2), u[:, 1:])
    return block * columns() + column, total


def fold(x: Tensor) -> Tensor:
    """The sums of every 64th, [rows, tokens] -> [rows, 64]; no CPU adds columns otherwise."""
    return x.view(x.shape[0], -1, columns()).sum(dim=1)


def _pick(weights: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """A place per row with odds proportional to its weight; [k, n], u [k, 1] -> [k, 1] twice."""
    mass = weights.cumsum(1, dtype=torch.float64)
    total = mass[:, -1:]
    # right: the first place whose running sum exceeds the target, so never one of weight 0
    return torch.searchsorted(mass, total * u, right=True), total
