"""Counts callers who could not prove who they are, and tells when certificates expire."""

from __future__ import annotations

from lstmserve_server.auth.principal import Failure
from lstmserve_server.telemetry.metrics import Metrics, TlsFamilies


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


class CertificateMetrics:
    """Told by whoever follows the certificate's files."""

    def __init__(self, families: TlsFamilies) -> None:
        self._families = families

    def on_certificate(self, expires_at: float) -> None:
        self._families.certificate_expiry.set(expires_at)

    def on_reload_failure(self) -> None:
        self._families.reload_failures.inc()
