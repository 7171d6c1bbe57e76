"""How long to wait before a worker that ended is started again."""

from __future__ import annotations

FIRST_SECONDS = 0.1
MAX_SECONDS = 30.0
# a worker that served this long did not fail for the reason that the one before it did
STEADY_SECONDS = 60.0
DOUBLINGS = 16  # more than it takes to reach the maximum; keeps the power small


def backoff_seconds(failures: int) -> float:
    """The wait after so many failures in a row, of which there was at least one."""
    return min(MAX_SECONDS, FIRST_SECONDS * 2.0 ** min(failures - 1, DOUBLINGS))


def count_failures(failures: int, lived_seconds: float) -> int:
    """Failures in a row, when after so many another worker lived so long."""
    return 1 if lived_seconds >= STEADY_SECONDS else failures + 1
