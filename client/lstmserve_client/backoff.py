"""How long to wait before the next attempt. Pure functions."""


def backoff_seconds(
    failures: int, first_seconds: float, max_seconds: float, multiplier: float = 2.0
) -> float:
    """Return the longest pause after so many failures in a row, of which there was at least one."""
    try:
        return min(max_seconds, first_seconds * multiplier ** (failures - 1))
    except OverflowError:  # far beyond the maximum
        return max_seconds


def jitter(seconds: float, draw: float) -> float:
    """Return a pause of at most so long; ``draw`` is uniform in [0, 1).

    "Equal jitter" (M. Brooker, "Exponential Backoff And Jitter", 2015): half of it is certain, so
    that a server gets its rest, and half is drawn, so that the callers it lost together do not
    come back together.
    """
    return seconds * (1 + draw) / 2
