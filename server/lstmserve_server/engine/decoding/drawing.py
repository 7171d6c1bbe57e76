"""Draws tokens by their weights, with random numbers that have no history, in TorchScript.

No float is summed in an order that could differ between batches or CPUs: `cumsum` adds in
sequence, and a sum over blocks adds whole columns, in an order that depends on their number
only. TorchScript knows no constants of a module, which therefore are functions.
"""

from __future__ import annotations

import torch
from torch import Tensor


def columns() -> int:
    """Return into how many columns a row is folded: no vocabulary has a rest."""
    return 64


def draw(weights: Tensor, mass: Tensor, u: Tensor) -> Tensor:
    """Draw tokens with odds proportional to their weights; -> int64 [k, n].

    Weights [k, tokens] of which one is 1, their ``column_mass`` and u float64 [k, n, 2]: two
    numbers for each of n draws. First a column of the row folded into 64 columns, by one number;
    then one in it.
    """
    column = _pick(mass, u[:, :, 0])
    blocks = weights.view(weights.shape[0], -1, columns())
    where = column.unsqueeze(1).expand(-1, blocks.shape[1], -1)
    return _pick_inside(blocks.gather(2, where), column, u)


def draw_in(weights: Tensor, rows: Tensor, mass: Tensor, u: Tensor) -> Tensor:
    """Draw as ``draw`` does from these rows of the weights, int64 [r], without a copy of them.

    Mass [r, 64] and u [r, n, 2] are those of the rows -> int64 [r, n].
    """
    column = _pick(mass, u[:, :, 0])
    first = (rows * weights.shape[1]).unsqueeze(1) + column  # in the first block; [r, n]
    blocks = torch.arange(0, weights.shape[1], columns()).view(1, -1, 1)
    return _pick_inside(weights.take(blocks + first.unsqueeze(1)), column, u)


def _pick_inside(inside: Tensor, column: Tensor, u: Tensor) -> Tensor:
    """Pick a token by the weights that lie in its column, [r, blocks, n] -> int64 [r, n]."""
    mass = inside.cumsum(1, dtype=torch.float64).transpose(1, 2).contiguous()
    return _pick(mass, u[:, :, 1:]).squeeze(2) * columns() + column


def column_mass(weights: Tensor) -> Tensor:
    """Return the running sums of the columns' weights, [k, tokens] -> float64 [k, 64]."""
    return fold(weights).cumsum(1, dtype=torch.float64)


def fold(x: Tensor) -> Tensor:
    """Sum every 64th, [rows, tokens] -> [rows, 64]: every CPU adds columns in the same order."""
    return x.view(x.shape[0], -1, columns()).sum(dim=1)


def _pick(mass: Tensor, u: Tensor) -> Tensor:
    """Pick places by running sums of weights [..., places] and numbers u [..., n] -> [..., n]."""
    # right: the first place whose running sum exceeds the target, so never one of weight 0
    return torch.searchsorted(mass, mass[..., -1:] * u, right=True)


def uniform(stream: Tensor, position: Tensor, number: Tensor) -> Tensor:
    """Return two numbers in [0, 1) for each stream, position and draw: halves of the random bits.

    Int64 that broadcast to any shape -> float64 of that shape and 2. The product of one of them
    with any total below 2^21 is below the total, as it must be.
    """
    bits = random_bits(stream, position, number)
    halves = torch.stack([bits >> 32, bits], dim=-1) & 0xFFFFFFFF
    return halves.to(torch.float64) * 2.0**-32


def random_bits(stream: Tensor, position: Tensor, number: Tensor) -> Tensor:
    """Return 64 random bits from only a stream, a position and the number of the draw; int64.

    The name of a stream is mixed first: SplitMix64 streams whose names differ by a multiple of its
    increment would overlap. Draws of one position are 0 to max_draws().
    """
    golden = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed number
    return _mix(_mix(stream + golden) + (position * 16 + (number + 1)) * golden)


def _mix(x: Tensor) -> Tensor:
    """Apply SplitMix64's finalizer (Steele, Lea and Flood, 2014) to int64 of the same bits."""
    x = (x ^ _shifted(x, 30)) * -4658895280553007687  # 0xBF58476D1CE4E5B9
    x = (x ^ _shifted(x, 27)) * -7723592293110705685  # 0x94D049BB133111EB
    return x ^ _shifted(x, 31)


def _shifted(x: Tensor, bits: int) -> Tensor:
    """Shift int64 right logically; torch shifts it arithmetically."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)
