"""How a token is drawn from weights, once more: with two random numbers of 32 bits."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from support.reference_model import Floats

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
NUM_COLUMNS = 64


def draw(weights: Floats, bits: int) -> int:
    """A column of the folded row by the upper half of the bits, a token of it by the lower."""
    column = _pick(_fold(weights), bits >> 32)
    block = _pick(weights.reshape(-1, NUM_COLUMNS)[:, column], bits & 0xFFFFFFFF)
    return block * NUM_COLUMNS + column


def _pick(weights: Floats, bits: int) -> int:
    sums = running_sums(weights)
    target = sums[-1] * (bits / 2**32)
    return next(place for place, reached in enumerate(sums) if reached > target)


def _fold(weights: Floats) -> Floats:
    """Sums of every 64th weight, float32 [64], 16 blocks at a time (up to 255 blocks).

    That is how torch adds columns: it keeps the sums of 16 apart, so as to round less.
    """
    blocks = weights.reshape(-1, NUM_COLUMNS)
    zero = np.zeros(NUM_COLUMNS, np.float32)
    runs = [blocks[first : first + 16] for first in range(0, len(blocks), 16)]
    sums = [sum(run, start=zero) for run in runs]
    rest = sums.pop() if len(runs[-1]) < 16 else zero
    return rest + sum(sums, start=zero)


def mass(weights: Floats) -> float:
    return running_sums(_fold(weights))[-1]


def running_sums(weights: Floats) -> list[float]:
    return list(accumulate(weights.tolist()))  # Python's floats are float64


def random_stream(seed: int, prompt_ids: Sequence[int]) -> int:
    """The name of a reply's random numbers: BLAKE2b of its prompt's tokens, the seed as salt."""
    tokens = b"".join(token_id.to_bytes(4, "little") for token_id in prompt_ids)
    digest = hashlib.blake2b(tokens, digest_size=8, salt=seed.to_bytes(8, "little")).digest()
    return int.from_bytes(digest, "little")


def random_bits(name: int, position: int, number: int) -> int:
    """64 bits: SplitMix64 of the stream of this name, at this draw of this position."""
    stream = _mix(name + GOLDEN)
    return _mix(stream + (16 * position + number + 1) * GOLDEN)


def _mix(x: int) -> int:
    """SplitMix64's finalizer (Steele, Lea and Flood, 2014)."""
    x &= MASK
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & MASK
    return x ^ (x >> 31)
