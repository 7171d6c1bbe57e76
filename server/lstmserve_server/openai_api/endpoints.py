"""What each route does: read, call, answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TypeAlias

import grpc
import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1 import model_service_pb2 as models_pb
from lstmserve_server.openai_api.body import BodyReader, unless_left
from lstmserve_server.openai_api.caller import MODELS_SECONDS, Caller, Metadata, make_metadata
from lstmserve_server.openai_api.errors import ApiError
from lstmserve_server.openai_api.models import check_ready, describe_model, list_models, split_id
from lstmserve_server.openai_api.reading import read_request
from lstmserve_server.openai_api.replies import Form
from lstmserve_server.openai_api.request import Asked
from lstmserve_server.openai_api.streams import StreamWriter, write_events
from lstmserve_server.rpc.metadata import REQUEST_ID_KEY

EVENT_STREAM = "text/event-stream"
Stream: TypeAlias = "grpc.aio.UnaryStreamCall[pb.GenerateRequest, pb.GenerateResponse]"
UNBUFFERED = {"x-accel-buffering": "no"}  # tells nginx to pass events on as they come


class Endpoints:
    """Answers by calling the gRPC server."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._bodies = BodyReader()

    async def complete(self, request: Request) -> Response:
        return await self._generate(request, is_chat=False)

    async def chat(self, request: Request) -> Response:
        return await self._generate(request, is_chat=True)

    async def list_models(self, request: Request) -> Response:
        found = await self._caller.models.ListModels(
            models_pb.ListModelsRequest(),
            timeout=MODELS_SECONDS,
            metadata=make_metadata(request.headers, request.state.request_id),
        )
        return _answer(list_models(found.models))

    async def get_model(self, request: Request) -> Response:
        identifier = request.path_params["identifier"]
        name, version = split_id(identifier)
        if not name:
            reason = "names no model; GET /v1/models lists those that are served"
            raise ApiError(404, reason, code="model_not_found", param="model")
        found = await self._caller.models.GetModel(
            models_pb.GetModelRequest(name=name, version=version),
            timeout=MODELS_SECONDS,
            metadata=make_metadata(request.headers, request.state.request_id),
        )
        check_ready(found.model, identifier)
        return _answer(describe_model(identifier, found.model))

    async def tell_health(self, _request: Request) -> Response:
        """Whether the server takes requests; anybody may ask, as of the health service."""
        if not await self._caller.is_serving():
            raise ApiError(503, "this server takes no requests now", code="not_serving")
        return _answer({"status": "ok"})

    async def _generate(self, request: Request, *, is_chat: bool) -> Response:
        asked = read_request(await self._bodies.read(request), is_chat=is_chat)
        metadata = make_metadata(request.headers, request.state.request_id, asked.user)
        form = Form(is_chat, request.state.request_id, asked.is_constrained)
        serve = self._stream if asked.is_streamed else self._reply
        try:
            return await serve(request, asked, form, metadata)
        except grpc.RpcError as error:
            raise asked.explain(error) from None

    async def _reply(
        self, request: Request, asked: Asked, form: Form, metadata: Metadata
    ) -> Response:
        replies = await unless_left(request.receive, self._ask_all(asked, metadata))
        return _answer(form.write_whole(replies))

    async def _ask_all(self, asked: Asked, metadata: Metadata) -> list[pb.GenerateReplyResponse]:
        """Return all replies; when one fails the others are canceled."""
        requests = asked.to_whole()
        if len(requests) == 1:
            return [await self._caller.generation.GenerateReply(requests[0], metadata=metadata)]
        try:
            async with asyncio.TaskGroup() as group:
                asking = [
                    group.create_task(self._ask(number, each, asked, metadata))
                    for number, each in enumerate(requests)
                ]
        except ExceptionGroup as failed:  # what `except*` raises is a group before Python 3.11.4
            refused, others = failed.split(ApiError)
            if refused is None or others is not None:
                raise
            raise refused.exceptions[0] from None
        return [task.result() for task in asking]

    async def _ask(
        self, number: int, request: pb.GenerateReplyRequest, asked: Asked, metadata: Metadata
    ) -> pb.GenerateReplyResponse:
        """Return the reply to one of several prompts; its errors name it."""
        own = _number(metadata, number + 1)
        try:
            return await self._caller.generation.GenerateReply(request, metadata=own)
        except grpc.RpcError as error:
            raise asked.explain(error, number) from None

    async def _stream(
        self, request: Request, asked: Asked, form: Form, metadata: Metadata
    ) -> Response:
        """Begin to answer with the first event: what is refused before gets its own status."""
        call = self._caller.generation.Generate(asked.to_stream(), metadata=metadata)
        events = aiter(call)
        first = await unless_left(request.receive, anext(events))
        writer = StreamWriter(form, tells_usage=asked.tells_usage)
        return EventStream(call, write_events(events, first, writer, asked.explain))


class EventStream(StreamingResponse):
    """Passes on what a call gives; the call ends with it, wherever that was."""

    def __init__(self, call: Stream, lines: AsyncIterator[bytes]) -> None:
        super().__init__(lines, media_type=EVENT_STREAM, headers=UNBUFFERED)
        self._call = call

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._call.cancel()


def _number(metadata: Metadata, number: int) -> Metadata:
    """Name one of several calls of a request: by its id and the call's number."""
    return tuple(
        (key, f"{value}-{number}" if key == REQUEST_ID_KEY else value) for key, value in metadata
    )


def _answer(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
