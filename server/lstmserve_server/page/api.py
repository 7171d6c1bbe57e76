"""What the page asks its server for: the models' cards, and a reply to a prompt."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any
from wsgiref.types import WSGIEnvironment

import grpc

from lstmserve_server.config import Address
from lstmserve_server.page.answer import Answer, RefusedError, answer_json
from lstmserve_server.page.caller import Caller, describe_error, parse_request
from lstmserve_server.page.guard import read_authorization, read_json
from lstmserve_server.page.tries import Tries
from lstmserve_server.tls.certificates import Certificates

# of whoever may not see the models; anything else is a server that does not answer
STATUSES = {
    "UNAUTHENTICATED": HTTPStatus.UNAUTHORIZED,
    "PERMISSION_DENIED": HTTPStatus.FORBIDDEN,
    "RESOURCE_EXHAUSTED": HTTPStatus.TOO_MANY_REQUESTS,
}
CHALLENGE = (("WWW-Authenticate", "Bearer"),)
LINES_OF_JSON = "application/x-ndjson"


class Api:
    """Answers by calling the gRPC server."""

    def __init__(self, server: Address, certificates: Certificates | None) -> None:
        self._caller = Caller(server, certificates)
        self._tries = Tries()

    def list_models(self, environ: WSGIEnvironment) -> Answer:
        try:
            return answer_json(self._caller.list_models(read_authorization(environ)))
        except grpc.RpcError as error:
            return _answer_error(describe_error(error))

    def generate(self, environ: WSGIEnvironment) -> Answer:
        """Events, one on a line. What the gRPC server refuses is one of them."""
        try:
            request = parse_request(read_json(environ))
        except ValueError as error:
            raise RefusedError(HTTPStatus.BAD_REQUEST, str(error)) from None
        return Answer(LINES_OF_JSON, self._tries.stream(self._caller, request, environ))

    def close(self) -> None:
        """End what runs."""
        self._caller.close()


def _answer_error(error: dict[str, Any]) -> Answer:
    status = STATUSES.get(error["status"], HTTPStatus.SERVICE_UNAVAILABLE)
    more = CHALLENGE if status is HTTPStatus.UNAUTHORIZED else ()
    return answer_json({"error": error}, status, more)
