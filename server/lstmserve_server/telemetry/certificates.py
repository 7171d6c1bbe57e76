"""Which certificate the gRPC port shows, in metrics."""

from __future__ import annotations

from lstmserve_server.telemetry.metrics import TlsFamilies


class CertificateMetrics:
    """Told by whoever follows the certificate's files."""

    def __init__(self, families: TlsFamilies) -> None:
        self._families = families

    def on_certificate(self, expires_at: float) -> None:
        self._families.certificate_expiry.set(expires_at)

    def on_reload_failure(self) -> None:
        self._families.reload_failures.inc()
