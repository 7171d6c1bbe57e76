"""Bounds of histograms."""

from __future__ import annotations

# twelve steps make a decade, each 21 % above the one before
STEPS = tuple(round(10 ** (step / 12), 2) for step in range(12))


def _decade(exponent: int, every: int = 1) -> tuple[float, ...]:
    """The steps from one power of ten to before the next, or every so many of them."""
    return tuple(float(f"{step}e{exponent}") for step in STEPS[::every])


# From 0.1 ms: a service that answers in milliseconds is invisible in the usual buckets. Fine
# from 0.46 to 68 ms, so that a quantile read off them is a fifth wrong at most; coarser on
# both sides of that, because every bucket is a line of the page for every series.
SECONDS = (
    *_decade(-4, every=4)[:2],
    *_decade(-4)[8:],
    *_decade(-3),
    *_decade(-2)[:11],
    *_decade(-1, every=2),
    *_decade(0, every=4),
    *_decade(1, every=4)[:2],
    60.0,
)
# a model is read, verified and warmed up: a tenth of a second to a minute
LOAD_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
