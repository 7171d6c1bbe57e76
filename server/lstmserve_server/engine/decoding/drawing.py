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


def draw(weights: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """Draw a token per row with odds proportional to its weight; return the total weight too.

    Weights [k, tokens] of which one is 1, u float64 [k, 2] -> int64 [k, 1], float64 [k, 1].
    First a column of the row folded into 64 columns, by one number; then one in it.
    """
    column, total = _pick(fold(weights), u[:, :1])
    blocks = weights.view(weights.shape[0], -1, columns())
    where = column.unsqueeze(1).expand(-1, blocks.shape[1], 1)
    block, _ = _pick(blocks.gather(2, where).squeeze(2), u[:, 1:])
    return block * columns() + column, total


def fold(x: Tensor) -> Tensor:
    """Sum every 64th, [rows, tokens] -> [rows, 64]: every CPU adds columns in the same order."""
    return x.view(x.shape[0], -1, columns()).sum(dim=1)


def _pick(weights: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """Pick a place per row, with odds by its weight; [k, n], u [k, 1] -> [k, 1] twice."""
    mass = weights.cumsum(1, dtype=torch.float64)
    total = mass[:, -1:]
    # right: the first place whose running sum exceeds the target, so never one of weight 0
    return torch.searchsorted(mass, total * u, right=True), total


def uniform(seed: Tensor, position: Tensor, number: int) -> Tensor:
    """Return two numbers in [0, 1) for each seed and position, by halves of the random bits.

    Seed int64 [k, 1], position int64 [k, n] -> float64 [k, n, 2]. The product of one of them
    with any total below 2^21 is below the total, as it must be.
    """
    bits = random_bits(seed, position, number)
    halves = torch.stack([bits >> 32, bits], dim=2) & 0xFFFFFFFF
    return halves.to(torch.float64) * 2.0**-32


def random_bits(seed: Tensor, position: Tensor, number: int) -> Tensor:
    """Return 64 random bits from only a seed, a position and the number of the draw; int64.

    The seed is mixed first: SplitMix64 streams of seeds that differ by a multiple of its
    increment would overlap. Draws of one position are 0 to max_draws().
    """
    golden = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed number
    return _mix(_mix(seed + golden) + (position * 16 + (number + 1)) * golden)


def _mix(x: Tensor) -> Tensor:
    """Apply SplitMix64's finalizer (Steele, Lea and Flood, 2014) to int64 of the same bits."""
    x = (x ^ _shifted(x, 30)) * -4658895280553007687  # 0xBF58476D1CE4E5B9
    x = (x ^ _shifted(x, 27)) * -7723592293110705685  # 0x94D049BB133111EB
    return x ^ _shifted(x, 31)


def _shifted(x: Tensor, bits: int) -> Tensor:
    """Shift int64 right logically; torch shifts it arithmetically."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)
