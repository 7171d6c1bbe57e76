"""Random numbers without a history, from a seed, a position and the number of a draw."""

from __future__ import annotations

import torch
from torch import Tensor


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
