"""What follows from failures in a row: how long to wait, and whether they are news."""

from __future__ import annotations

MAX_SECONDS = 30.0


def backoff_seconds(failures: int, first_seconds: float) -> float:
    """Return the wait after so many failures in a row, of which there was at least one."""
    try:
        return min(MAX_SECONDS, first_seconds * 2.0 ** (failures - 1))
    except OverflowError:  # far beyond the maximum
        return MAX_SECONDS


class Trouble:
    """Tells news of a trouble from what was told before."""

    def __init__(self, looks_until_news: int = 1) -> None:
        """It is news once so many looks in a row have found it, and not again until it ends."""
        self._looks_until_news = looks_until_news
        self._reason = ""
        self._num_looks = 0

    def found(self, reason: str) -> bool:
        """A look has found it: whether that is news."""
        self._num_looks = self._num_looks + 1 if reason == self._reason else 1
        self._reason = reason
        return self._num_looks == self._looks_until_news

    def ended(self) -> bool:
        """A look has found none: whether that is news."""
        was_told = self._num_looks >= self._looks_until_news
        self._reason, self._num_looks = "", 0
        return was_told
