"""The page's routes, as a WSGI application."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING
from wsgiref.types import StartResponse, WSGIEnvironment

from lstmserve_server.config import Address, PageConfig
from lstmserve_server.page.answer import Answer, RefusedError, answer_refusal, load_document
from lstmserve_server.page.guard import check_host, check_origin

if TYPE_CHECKING:
    from lstmserve_server.page.api import Api
    from lstmserve_server.tls.certificates import Certificates

Serve = Callable[[WSGIEnvironment], Answer]


class Page:
    """Serves the page, if it is on; the rest of it once there is a server to call."""

    def __init__(self, config: PageConfig, certificates: Certificates | None = None) -> None:
        """``certificates`` are the server's, if it is not called in clear."""
        self._config = config
        self._certificates = certificates
        self._server: Address | None = None
        self._api: Api | None = None
        self._making = threading.Lock()  # the channel, for several threads
        document = load_document()
        self._routes: Mapping[str, tuple[str, Serve]] = {
            "/": ("GET", lambda _environ: document),
            "/api/models": ("GET", lambda environ: self._find_api().list_models(environ)),
            "/api/generate": ("POST", lambda environ: self._find_api().generate(environ)),
        }

    def connect(self, server: Address) -> None:
        """The gRPC server listens here now."""
        self._server = server.nearby

    def close(self) -> None:
        """End the calls that run."""
        if self._api is not None:
            self._api.close()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            answer = self._answer(environ)
        except RefusedError as refused:
            answer = answer_refusal(refused)
        start_response(answer.status_line, answer.headers)
        return answer.body

    def _answer(self, environ: WSGIEnvironment) -> Answer:
        method, serve = self._find_route(environ["PATH_INFO"])
        if self._config.is_local:
            check_host(environ)
        if environ["REQUEST_METHOD"] != method:
            raise RefusedError(
                HTTPStatus.METHOD_NOT_ALLOWED, f"the method must be {method}", ("Allow", method)
            )
        if environ["PATH_INFO"] != "/":  # to which other sites may well link
            check_origin(environ)
        return serve(environ)

    def _find_route(self, path: str) -> tuple[str, Serve]:
        if not self._config.is_on or path not in self._routes:
            raise RefusedError(HTTPStatus.NOT_FOUND, "there is no such page")
        return self._routes[path]

    def _find_api(self) -> Api:
        with self._making:
            if self._server is None:
                raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "the server is starting")
            if self._api is None:
                # a supervisor, which needs no gRPC for itself, brings it in for those who look
                from lstmserve_server.page.api import Api  # noqa: PLC0415

                self._api = Api(self._server, self._certificates)
            return self._api
