"""What the page asks its server for: the models' cards, and a reply to a prompt."""

from __future__ import annotations

from http import HTTPStatus
from wsgiref.types import WSGIEnvironment

import grpc

from lstmserve_server.config import Address
from lstmserve_server.page.answer import Answer, RefusedError, answer_json
from lstmserve_server.page.caller import Caller, describe_error, parse_request
from lstmserve_server.page.guard import read_json
from lstmserve_server.page.tries import Tries
from lstmserve_server.tls.certificates import Certificates

LINES_OF_JSON = "application/x-ndjson"


class Api:
    """Answers by calling the gRPC server."""

    def __init__(self, server: Address, certificates: Certificates | None) -> None:
        self._caller = Caller(server, certificates)
        self._tries = Tries()

    def list_models(self, _environ: WSGIEnvironment) -> Answer:
        try:
            return answer_json(self._caller.list_models())
        except grpc.RpcError as error:
            return answer_json({"error": describe_error(error)}, HTTPStatus.SERVICE_UNAVAILABLE)

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
