"""Serves ``/metrics`` over HTTP, on a thread of prometheus_client."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, start_http_server

from lstmserve_server.config import Address
from lstmserve_server.errors import StartupError


class MetricsExporter:
    """An HTTP server for one registry."""

    def __init__(self, address: Address, registry: CollectorRegistry) -> None:
        """Start listening; raises StartupError when the address cannot be used."""
        try:
            self._server, self._thread = start_http_server(
                address.port, addr=address.host, registry=registry
            )
        except OSError as error:
            raise StartupError(
                f"--metrics-listen: cannot listen on {address}: {error.strerror or error}"
            ) from None
        self.address = Address(address.host, self._server.server_port)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
