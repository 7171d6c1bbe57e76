"""Serves ``/metrics`` over HTTP, and leaves every other path to somebody else."""

from __future__ import annotations

from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import CollectorRegistry, make_wsgi_app

from lstmserve_server.config import Address
from lstmserve_server.errors import StartupError
from lstmserve_server.http_server import HttpServer

PATH = "/metrics"


def nothing(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """An application without a page."""
    start_response("404 Not Found", [("Content-Type", "text/plain")])
    return [f"there is nothing but {PATH}\n".encode()]


class MetricsExporter:
    """An HTTP server for one registry."""

    def __init__(
        self,
        address: Address,
        registry: CollectorRegistry,
        elsewhere: WSGIApplication = nothing,
    ) -> None:
        """Start listening; raises StartupError when the address cannot be used."""
        try:
            self._server = HttpServer(address, _route(make_wsgi_app(registry), elsewhere))
        except OSError as error:
            raise StartupError(
                f"--metrics-listen: cannot listen on {address}: {error.strerror or error}"
            ) from None
        self._server.start()
        self.address = self._server.address

    def close(self) -> None:
        self._server.stop()


def _route(metrics: WSGIApplication, elsewhere: WSGIApplication) -> WSGIApplication:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        # of OPTIONS *, which asks about the server as a whole, any application knows enough
        chosen = metrics if environ["PATH_INFO"] in {PATH, "*"} else elsewhere
        return chosen(environ, start_response)

    return application
