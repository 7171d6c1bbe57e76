"""Probabilities whose bits are the same everywhere, and stay so."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmserve_bundle.exact_math import MAX_EXPONENT, exp2


@pytest.mark.parametrize(
    ("exponent", "bits"),
    [
        (-1000.0, "0x1.0000000000000p-1000"),
        (-17.3, "0x1.9fdf8bcce52fcp-18"),
        (-1.0, "0x1.0000000000000p-1"),
        (-0.1, "0x1.ddb680117a4aap-1"),
        (-1e-09, "0x1.fffffffa0a2b8p-1"),
        (0.0, "0x1.0000000000000p+0"),
        (0.5, "0x1.6a09e667f3bccp+0"),
        (0.999999, "0x1.ffffe8bde82cdp+0"),
        (3.7, "0x1.9fdf8bcce5300p+3"),
        (1000.0, "0x1.0000000000000p+1000"),
    ],
)
def test_bits_never_change(exponent: float, bits: str) -> None:
    """They are those of the first release: a reply's label and outcome depend on them."""
    assert exp2(exponent).hex() == bits


@given(st.floats(-MAX_EXPONENT, MAX_EXPONENT))
def test_powers_are_right(exponent: float) -> None:
    assert exp2(exponent) == pytest.approx(math.exp2(exponent), rel=1e-12)


@pytest.mark.parametrize("sign", [-1, 1])
def test_what_is_beyond_is_taken_for_the_last(sign: int) -> None:
    assert exp2(sign * 1e300) == exp2(sign * math.inf) == exp2(sign * MAX_EXPONENT)
