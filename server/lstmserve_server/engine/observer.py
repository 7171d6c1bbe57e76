"""What the engine tells to whoever counts: handed in, never imported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from lstmserve_server.engine.output import FinishReason


class EngineObserver(Protocol):
    """Told what the engine does; must be quick and must not raise."""

    def on_decode(self, rows: int, steps: int, seconds: float) -> None:
        """A decode call over this many rows and steps took so long."""

    def on_wasted(self, tokens: int, reason: str) -> None:
        """Tokens were decoded for nobody."""

    def on_scored(self, nats: Sequence[float]) -> None:
        """A measured reply has further tokens, of these negative log-probabilities."""

    def on_measured(self, text: str, reason: FinishReason) -> None:
        """A measured reply is complete."""

    def on_cancelled(self, seconds: float) -> None:
        """A reply is gone, so long after its caller left or its deadline passed."""
