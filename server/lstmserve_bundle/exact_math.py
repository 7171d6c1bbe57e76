"""Probabilities that are the same bit for bit on every machine.

Only operations that IEEE 754 rounds exactly: no ``exp`` of a C library, and no ``sum``, which
Python 3.12 began to compensate. ``fsum`` is rounded once, everywhere.
"""

from __future__ import annotations

from math import floor, fsum, ldexp
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

LOG2_E = 1.4426950408889634
MAX_EXPONENT = 1000
# 2^f for 0 <= f < 1: Taylor's series, ln(2)^n / n!, to 1e-13; the probabilities need far less
_COEFFICIENTS = (
    2.5678435993488206e-11,
    4.4455382718708116e-10,
    7.0549116208011234e-09,
    1.0178086009239699e-07,
    1.3215486790144309e-06,
    1.5252733804059841e-05,
    0.00015403530393381608,
    0.0013333558146428443,
    0.0096181291076284772,
    0.055504108664821580,
    0.24022650695910071,
    0.69314718055994531,
    1.0,
)


def exp2(exponent: float) -> float:
    """2 to a power between -1000 and 1000; what is beyond is taken for these."""
    if exponent < -MAX_EXPONENT:
        exponent = -MAX_EXPONENT
    elif exponent > MAX_EXPONENT:
        exponent = MAX_EXPONENT
    whole = floor(exponent)
    x = exponent - whole
    # Horner's scheme, not as a loop: it is done for every label of every request
    a, b, c, d, e, f, g, h, i, j, k, m, n = _COEFFICIENTS
    result = ((((((a * x + b) * x + c) * x + d) * x + e) * x + f) * x + g) * x + h
    result = ((((result * x + i) * x + j) * x + k) * x + m) * x + n
    return ldexp(result, whole)


def softmax(scores: Sequence[float]) -> list[float]:
    """Probabilities of scores whose unit is nats."""
    highest = max(scores)
    weights = [exp2((score - highest) * LOG2_E) for score in scores]
    total = fsum(weights)
    return [weight / total for weight in weights]


def sigmoid(score: float) -> float:
    """Probability of a score whose unit is nats."""
    return 1.0 / (1.0 + exp2(-score * LOG2_E))
