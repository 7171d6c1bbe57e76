"""Calls the server as anybody does, and turns messages into their JSON and back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, cast

import grpc
from google.protobuf import json_format
from google.protobuf.message import Message
from google.rpc import error_details_pb2  # noqa: F401 - what a status may hold must be known
from grpc_status import rpc_status

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1 import model_service_pb2
from lstmserve.v1.generation_service_pb2_grpc import GenerationServiceStub
from lstmserve.v1.model_service_pb2_grpc import ModelServiceStub
from lstmserve_server.config import Address

CALLER = ("x-caller-id", "page")
REPLY_SECONDS = 60.0
CARDS_SECONDS = 5.0
OPTIONS = (
    ("grpc.enable_http_proxy", 0),  # whatever proxy the environment names
    # a worker that is started again is found when it is there, not two minutes later
    ("grpc.max_reconnect_backoff_ms", 1_000),
)


class Reply(Protocol):
    """A reply in the making."""

    def __iter__(self) -> Iterator[pb.GenerateResponse]: ...

    def cancel(self) -> object: ...


class Caller:
    """One connection, made with the first call."""

    def __init__(self, server: Address) -> None:
        self._channel = grpc.insecure_channel(str(server), OPTIONS)
        self._generation = GenerationServiceStub(self._channel)
        self._models = ModelServiceStub(self._channel)

    def list_models(self, authorization: str = "") -> dict[str, Any]:
        """All cards; raises grpc.RpcError."""
        request, metadata = model_service_pb2.ListModelsRequest(), _make_metadata(authorization)
        return to_dict(self._models.ListModels(request, timeout=CARDS_SECONDS, metadata=metadata))

    def generate(self, request: pb.GenerateRequest, authorization: str = "") -> Reply:
        """Begin a reply; reading it raises grpc.RpcError."""
        metadata = _make_metadata(authorization)
        reply = self._generation.Generate(request, timeout=REPLY_SECONDS, metadata=metadata)
        return cast("Reply", reply)

    def close(self) -> None:
        """End what runs."""
        self._channel.close()


def _make_metadata(authorization: str) -> tuple[tuple[str, str], ...]:
    """The page has no rights of its own: it passes on those of whoever looks at it."""
    return (CALLER, ("authorization", authorization)) if authorization else (CALLER,)


def parse_request(body: bytes) -> pb.GenerateRequest:
    """A request in the JSON of protobuf; raises ValueError, which says what is wrong."""
    try:
        return json_format.Parse(body, pb.GenerateRequest())
    except json_format.ParseError as error:
        raise ValueError(str(error)) from None


def to_dict(message: Message) -> dict[str, Any]:
    """The JSON of a message, with its fields' own names; 64-bit numbers are texts in it."""
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def describe_error(error: grpc.RpcError) -> dict[str, Any]:
    """A status and its details; ``status`` is the code's name."""
    call = cast("grpc.Call", error)  # whatever grpc raises for a call is that call as well
    status = rpc_status.from_call(call)
    facts = {"message": call.details()} if status is None else to_dict(status)
    return {**facts, "status": call.code().name}
