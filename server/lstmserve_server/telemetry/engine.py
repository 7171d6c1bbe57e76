"""Counts what the engines do: the server's answer to ``engine.observer.EngineObserver``."""

from __future__ import annotations

from lstmserve_server.telemetry.metrics import Metrics

WASTE = ("finished", "cancelled")


class EngineMetrics:
    """Records what one version's engine does; called on the engine's thread."""

    def __init__(self, metrics: Metrics, model: str, version: str) -> None:
        families, labels = metrics.engine, (model, version)
        self._wasted = {reason: families.wasted_tokens.labels(*labels, reason) for reason in WASTE}
        self._step_seconds = families.step_seconds.labels(*labels)
        self._batch_rows = families.batch_rows.labels(*labels)
        self._cancel_seconds = families.cancel_seconds.labels(*labels)

    def on_decode(self, rows: int, steps: int, seconds: float) -> None:
        """A decode call over this many rows and steps took so long."""
        self._batch_rows.observe(rows)
        self._step_seconds.observe(seconds / steps)

    def on_wasted(self, tokens: int, reason: str) -> None:
        """Tokens were decoded for nobody."""
        if tokens:
            self._wasted[reason].inc(tokens)

    def on_cancelled(self, seconds: float) -> None:
        """A reply is gone, so long after its caller left or its deadline passed."""
        self._cancel_seconds.observe(seconds)
