"""Bounds of histograms."""

from __future__ import annotations

# IEC 60063: twelve preferred numbers a decade, each about a fifth above the one before
E12 = (1.0, 1.2, 1.5, 1.8, 2.2, 2.7, 3.3, 3.9, 4.7, 5.6, 6.8, 8.2)
E6, E3 = E12[::2], E12[::4]


def _decade(numbers: tuple[float, ...], exponent: int) -> tuple[float, ...]:
    """Such numbers times a power of ten, written as people write them."""
    return tuple(float(f"{number}e{exponent}") for number in numbers)


# From 0.1 ms: a service that answers in milliseconds is invisible in the usual buckets. Fine
# from 0.47 to 68 ms, so that a quantile read off them is a fifth wrong at most; coarser on
# both sides of that, because every bucket is a line of the page for every series.
SECONDS = (
    *_decade(E3, -4)[:2],
    *_decade(E12, -4)[8:],
    *_decade(E12, -3),
    *_decade(E12, -2)[:-1],
    *_decade(E6, -1),
    *_decade(E3, 0),
    *_decade(E3, 1)[:2],
    60.0,
)
# a model is read, verified and warmed up: a tenth of a second to a minute
LOAD_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
