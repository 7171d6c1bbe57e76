"""How long to wait before the next try. Pure functions."""

from __future__ import annotations

MAX_SECONDS = 30.0


def backoff_seconds(failures: int, first_seconds: float) -> float:
    """Return the wait after so many failures in a row, of which there was at least one."""
    try:
        return min(MAX_SECONDS, first_seconds * 2.0 ** (failures - 1))
    except OverflowError:  # far beyond the maximum
        return MAX_SECONDS
