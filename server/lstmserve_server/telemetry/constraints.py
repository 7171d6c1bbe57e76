"""Counts the forms that requests want their replies to keep."""

from __future__ import annotations

from lstmserve_server.engine.constraints.kept_forms import KeptForms
from lstmserve_server.telemetry.metrics import Metrics

OUTCOMES = ("kept", "built", "refused")


class FormMetrics:
    """Records what becomes of requests' forms; called on the event loop."""

    def __init__(self, metrics: Metrics, kept: KeptForms) -> None:
        families = metrics.constraints
        self._outcomes = {name: families.constraints.labels(name) for name in OUTCOMES}
        self._build_seconds = families.build_seconds
        families.entries.set_function(lambda: len(kept))
        families.bytes.set_function(lambda: kept.num_bytes)

    def on_form(self, outcome: str, seconds: float) -> None:
        """A form was kept, or it was built or refused, which took so long."""
        self._outcomes[outcome].inc()
        if seconds:
            self._build_seconds.observe(seconds)
