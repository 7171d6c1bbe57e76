"""Calls the server as anybody does, and turns messages into their JSON and back."""

from __future__ import annotations

import threading
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
from lstmserve_server.json_objects import MAX_SHOWN, read_object
from lstmserve_server.tls.certificates import Certificates
from lstmserve_server.tls.material import Material

OPTIONS = (
    ("grpc.enable_http_proxy", 0),  # whatever proxy the environment names
    # a worker that is started again is found when it is there, not two minutes later
    ("grpc.max_reconnect_backoff_ms", 1_000),
)
CALLER = ("x-caller-id", "page")
REPLY_SECONDS = 60.0
CARDS_SECONDS = 5.0
UNFIT = "its value is of another kind, or out of range"


class Reply(Protocol):
    """A reply in the making."""

    def __iter__(self) -> Iterator[pb.GenerateResponse]: ...

    def cancel(self) -> object: ...


class Caller:
    """One connection, made with the first call, and again when the certificate is another."""

    def __init__(self, server: Address, certificates: Certificates | None) -> None:
        """Without ``certificates`` it calls in clear."""
        self._server = server
        self._certificates = certificates
        self._changing = threading.Lock()  # the channel, for several threads
        self._material = self._find_material()
        self._channel = open_channel(server, self._material)

    def list_models(self, authorization: str = "") -> dict[str, Any]:
        """All cards; raises grpc.RpcError."""
        request, metadata = model_service_pb2.ListModelsRequest(), _make_metadata(authorization)
        models = ModelServiceStub(self._find_channel())
        return to_dict(models.ListModels(request, timeout=CARDS_SECONDS, metadata=metadata))

    def generate(self, request: pb.GenerateRequest, authorization: str = "") -> Reply:
        """Begin a reply; reading it raises grpc.RpcError."""
        metadata = _make_metadata(authorization)
        generation = GenerationServiceStub(self._find_channel())
        reply = generation.Generate(request, timeout=REPLY_SECONDS, metadata=metadata)
        return cast("Reply", reply)

    def close(self) -> None:
        """End what runs."""
        self._channel.close()

    def _find_channel(self) -> grpc.Channel:
        """One that trusts the certificate in force; calls on another go on there."""
        with self._changing:
            material = self._find_material()
            if material is not self._material:
                self._material = material
                self._channel = open_channel(self._server, material)
            return self._channel

    def _find_material(self) -> Material | None:
        return None if self._certificates is None else self._certificates.current


def open_channel(server: Address, material: Material | None) -> grpc.Channel:
    """In clear without ``material``; else only a server that proves to have its certificate.

    It is the one certificate trusted, whatever authority it is of, and goes by one of its own
    names: the address called is a loopback one, which stands in hardly any certificate. Where
    clients need one too, it is shown: the page is the server itself.
    """
    if material is None:
        return grpc.insecure_channel(str(server), OPTIONS)
    files = material.files
    pair = (None, None) if files.authority is None else (files.key, files.chain)
    credentials = grpc.ssl_channel_credentials(files.chain, *pair)
    # any name that *.example.com is for
    name = material.names[0].replace("*", "lstmserve")
    options = (*OPTIONS, ("grpc.ssl_target_name_override", name))
    return grpc.secure_channel(str(server), credentials, options)


def _make_metadata(authorization: str) -> tuple[tuple[str, str], ...]:
    """The page has no rights of its own: it passes on those of whoever looks at it."""
    return (CALLER, ("authorization", authorization)) if authorization else (CALLER,)


def parse_request(body: bytes) -> pb.GenerateRequest:
    """A request in the JSON of protobuf; raises ValueError, which says what is wrong."""
    document = read_object(body)
    try:
        return json_format.ParseDict(document, pb.GenerateRequest())
    except json_format.ParseError as error:
        raise ValueError(_explain(error)[:MAX_SHOWN]) from None


def _explain(error: json_format.ParseError) -> str:
    """Return what the library says, without what Python said to it."""
    root: BaseException = error
    while root.__cause__ is not None:
        root = root.__cause__
    text = str(error)
    return text if isinstance(root, json_format.ParseError) else text.replace(str(root), UNFIT)


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
