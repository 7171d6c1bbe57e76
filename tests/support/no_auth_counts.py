"""Nobody who counts what callers do at the door."""

from __future__ import annotations


class NoAuthCounts:
    """Is told, and keeps nothing."""

    def on_unauthenticated(self, failure: object) -> None:
        """Not counted."""

    def on_read(self, *, is_good: bool) -> None:
        """Not counted."""
