"""Prompts that somebody tries on the page: a few at a time, each for as long as it is watched."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from wsgiref.types import WSGIEnvironment

import grpc

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_server.http_server import while_connected
from lstmserve_server.page.answer import to_json
from lstmserve_server.page.caller import Caller, describe_error, to_dict
from lstmserve_server.page.guard import read_authorization

MAX_TRIES = 8
BUSY = {
    "status": "RESOURCE_EXHAUSTED",
    "message": f"{MAX_TRIES} prompts are being tried on the page; wait for one of them to end",
}


class Tries:
    """Replies as lines of JSON; the last line is a completion or an error."""

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
