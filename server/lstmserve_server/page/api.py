"""What the page asks its server for: the models' cards, and a reply to a prompt."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any
from wsgiref.types import WSGIEnvironment

import grpc

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_server.config import Address
from lstmserve_server.http_server import while_connected
from lstmserve_server.page.answer import Answer, RefusedError, answer_json, to_json
from lstmserve_server.page.caller import Caller, describe_error, parse_request, to_dict
from lstmserve_server.page.guard import read_authorization, read_json
from lstmserve_server.tls.certificates import Certificates

# of whoever may not see the models; anything else is a server that does not answer
STATUSES = {
    "UNAUTHENTICATED": HTTPStatus.UNAUTHORIZED,
    "PERMISSION_DENIED": HTTPStatus.FORBIDDEN,
    "RESOURCE_EXHAUSTED": HTTPStatus.TOO_MANY_REQUESTS,
}
CHALLENGE = (("WWW-Authenticate", "Bearer"),)
LINES_OF_JSON = "application/x-ndjson"
MAX_TRIES = 8
BUSY = {
    "status": "RESOURCE_EXHAUSTED",
    "message": f"{MAX_TRIES} prompts are being tried on the page; wait for one of them to end",
}


class Tries:
    """Prompts that somebody tries on the page: a few at a time, each while it is watched.

    A reply is lines of JSON; the last line is a completion or an error.
    """

    def __init__(self) -> None:
        self._places = threading.BoundedSemaphore(MAX_TRIES)

    def stream(
        self, caller: Caller, request: pb.GenerateRequest, environ: WSGIEnvironment
    ) -> Iterator[bytes]:
        """The events of one reply, canceled when the browser goes away."""
        if not self._places.acquire(blocking=False):
            yield to_json({"error": BUSY})
            return
        try:
            yield from _stream(caller, request, environ)
        finally:
            self._places.release()


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


def _stream(
    caller: Caller, request: pb.GenerateRequest, environ: WSGIEnvironment
) -> Iterator[bytes]:
    reply = caller.generate(request, read_authorization(environ))
    with while_connected(environ, reply.cancel):
        try:
            for event in reply:
                yield to_json(to_dict(event))
        except grpc.RpcError as error:
            yield to_json({"error": describe_error(error)})
