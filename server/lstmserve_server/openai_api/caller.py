"""Calls this very process over gRPC, as whoever asked over HTTP."""

from __future__ import annotations

from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from starlette.datastructures import Headers

from lstmserve.v1.generation_service_pb2_grpc import GenerationServiceStub
from lstmserve.v1.model_service_pb2_grpc import ModelServiceStub
from lstmserve_server.errors import InvalidRequestError
from lstmserve_server.openai_api.errors import refuse_fields
from lstmserve_server.rpc.metadata import (
    AUTHORIZATION_KEY,
    CALLER_ID_KEY,
    REQUEST_ID_KEY,
    TRACE_KEYS,
    read_caller,
)

OPTIONS = (
    ("grpc.enable_http_proxy", 0),  # whatever proxy the environment names
    ("grpc.max_receive_message_length", -1),  # of replies, which are as long as they are
    ("grpc.max_reconnect_backoff_ms", 1_000),
)
MODELS_SECONDS = 5.0
# of headers that go on as metadata, which gRPC takes 8 KiB of: characters, and how many of a name
MAX_VALUE = 1 << 10
MAX_SAME = 2  # of what may come once, two are as wrong as ten
# goes on for what can be no token, so that it is refused as any other wrong one
MALFORMED = "malformed"
Metadata = tuple[tuple[str, str], ...]


class Caller:
    """One connection to the server's own socket, which no one else can reach."""

    def __init__(self, target: str) -> None:
        self._channel = grpc.aio.insecure_channel(target, OPTIONS)
        self.generation = GenerationServiceStub(self._channel)
        self.models = ModelServiceStub(self._channel)
        self._health: Any = health_pb2_grpc.HealthStub(
            self._channel
        )  # whose types lack its methods

    async def is_serving(self) -> bool:
        """Return whether the server takes requests, as its health service tells."""
        request = health_pb2.HealthCheckRequest()
        try:
            found = await self._health.Check(request, timeout=MODELS_SECONDS)
        except grpc.RpcError:
            return False
        return bool(found.status == health_pb2.HealthCheckResponse.SERVING)

    async def close(self) -> None:
        """End what runs."""
        await self._channel.close()


def make_metadata(headers: Headers, request_id: str, user: str = "") -> Metadata:
    """Return what is passed on of a request's headers; ``user`` goes before x-caller-id.

    Raises ApiError for an x-caller-id that cannot be one.
    """
    found = [(REQUEST_ID_KEY, request_id)]
    found += (
        (AUTHORIZATION_KEY, value if _may_go_on(value) else MALFORMED)
        for value in headers.getlist(AUTHORIZATION_KEY)[:MAX_SAME]
    )
    for key in TRACE_KEYS:
        values = headers.getlist(key)[:MAX_SAME]
        found += ((key, value) for value in values if _may_go_on(value))
    caller = user or _read_header(headers)
    if caller:
        found.append((CALLER_ID_KEY, caller))
    return tuple(found)


def _read_header(headers: Headers) -> str:
    caller = headers.get(CALLER_ID_KEY, "")
    try:
        return read_caller([(CALLER_ID_KEY, caller)]) if caller else ""
    except InvalidRequestError as error:
        raise refuse_fields(error.violations) from None


def _may_go_on(value: str) -> bool:
    """Return whether gRPC takes it as a value of metadata."""
    return len(value) <= MAX_VALUE and value.isascii() and value.isprintable()
