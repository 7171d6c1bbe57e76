"""Counts who could not prove who it is: the server's answer to ``auth.observer.AuthObserver``."""

from __future__ import annotations

from lstmserve_server.auth.observer import Failure
from lstmserve_server.telemetry.metrics import Metrics


class AuthMetrics:
    """All series begin at 0, so that the first of a kind shows as an increase."""

    def __init__(self, metrics: Metrics) -> None:
        unauthenticated, reads = metrics.auth.unauthenticated, metrics.auth.file_reads
        self._unauthenticated = {one: unauthenticated.labels(one.value) for one in Failure}
        self._good, self._bad = reads.labels("ok"), reads.labels("failed")

    def on_unauthenticated(self, failure: Failure) -> None:
        """Somebody could not prove who it is."""
        self._unauthenticated[failure].inc()

    def on_read(self, *, is_good: bool) -> None:
        """The file of callers has changed, or cannot be used."""
        (self._good if is_good else self._bad).inc()
