"""GRPCInferenceService: requests in the words of the Open Inference Protocol."""

from __future__ import annotations

import importlib.metadata
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

import grpc

from lstmserve.open_inference import inference_service_pb2 as wire
from lstmserve.open_inference import inference_service_pb2_grpc
from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_server.errors import InvalidRequestError, ModelLoadingError, ModelNotFoundError
from lstmserve_server.rpc.generation import Exchanges
from lstmserve_server.rpc.health import HealthServicer
from lstmserve_server.rpc.open_inference.parameters import in_words_of_caller
from lstmserve_server.rpc.open_inference.reply import ReplyWriter
from lstmserve_server.rpc.open_inference.request import Asked, read_request
from lstmserve_server.rpc.open_inference.signature import INPUTS, OUTPUTS
from lstmserve_server.store.catalog import ModelCatalog
from lstmserve_server.store.served_model import ServedModel

Context = grpc.aio.ServicerContext[Any, Any]
TensorMetadata = wire.ModelMetadataResponse.TensorMetadata
# of outputs that have an element per token
VARYING = frozenset({"token_ids"})
# of the protocol's extensions: parameters of requests
EXTENSIONS = ("parameters",)


class OpenInferenceServicer(inference_service_pb2_grpc.GRPCInferenceServiceServicer):
    """Converts, and has the exchanges answer."""

    def __init__(self, catalog: ModelCatalog, exchanges: Exchanges, health: HealthServicer) -> None:
        """Let ServerReady repeat ``health``, the standard service."""
        self._catalog = catalog
        self._exchanges = exchanges
        self._health = health

    async def ServerLive(
        self, request: wire.ServerLiveRequest, context: Context
    ) -> wire.ServerLiveResponse:
        return wire.ServerLiveResponse(live=True)

    async def ServerReady(
        self, request: wire.ServerReadyRequest, context: Context
    ) -> wire.ServerReadyResponse:
        return wire.ServerReadyResponse(ready=self._health.is_serving)

    async def ModelReady(
        self, request: wire.ModelReadyRequest, context: Context
    ) -> wire.ModelReadyResponse:
        is_served = self._serves(request.name, request.version)
        return wire.ModelReadyResponse(ready=is_served and self._health.is_serving)

    async def ServerMetadata(
        self, request: wire.ServerMetadataRequest, context: Context
    ) -> wire.ServerMetadataResponse:
        return describe_server()

    async def ModelMetadata(
        self, request: wire.ModelMetadataRequest, context: Context
    ) -> wire.ModelMetadataResponse:
        model = self._catalog.resolve(request.name, request.version, field="name")
        return describe_model(model, self._catalog)

    async def ModelInfer(
        self, request: wire.ModelInferRequest, context: Context
    ) -> wire.ModelInferResponse:
        asked = read_request(request, is_stream=False)
        return ReplyWriter(asked).write_whole(await self._reply(asked, context))

    async def ModelStreamInfer(
        self, request_iterator: AsyncIterator[wire.ModelInferRequest], context: Context
    ) -> AsyncIterator[wire.ModelStreamInferResponse]:
        """Answer one request; the interceptor hands each in as a stream of one."""
        async for request in request_iterator:
            async with aclosing(self._answer(request, context)) as responses:
                async for response in responses:
                    yield response

    async def _answer(
        self, request: wire.ModelInferRequest, context: Context
    ) -> AsyncGenerator[wire.ModelStreamInferResponse]:
        asked = read_request(request, is_stream=True)
        writer = ReplyWriter(asked)
        if isinstance(asked.request, pb.GenerateReplyRequest):
            for response in writer.write_only(await self._reply(asked, context)):
                yield response
            return
        with in_words_of_caller(asked.places):
            async with (
                self._exchanges.begin(asked.request, context, asked.timeout_seconds) as exchange,
                aclosing(exchange.parts) as parts,
            ):
                async for part in parts:
                    for response in writer.write_events(exchange.to_events(part)):
                        yield response

    async def _reply(self, asked: Asked, context: Context) -> pb.GenerateReplyResponse:
        with in_words_of_caller(asked.places):
            return await self._exchanges.reply(asked.request, context, asked.timeout_seconds)

    def _serves(self, name: str, version: str) -> bool:
        try:
            self._catalog.resolve(name, version)
        except (InvalidRequestError, ModelLoadingError, ModelNotFoundError):
            return False
        return True


def describe_server() -> wire.ServerMetadataResponse:
    version = importlib.metadata.version("lstmserve")
    return wire.ServerMetadataResponse(name="lstmserve", version=version, extensions=EXTENSIONS)


def describe_model(model: ServedModel, catalog: ModelCatalog) -> wire.ModelMetadataResponse:
    """Return the model of this version, with all versions that answer."""
    return wire.ModelMetadataResponse(
        name=model.name,
        versions=[each.version for each in catalog if each.name == model.name],
        platform=f"lstmserve_{model.manifest.family}",
        inputs=_describe(INPUTS),
        outputs=_describe({name: kind.datatype for name, kind in OUTPUTS.items()}),
    )


def _describe(datatypes: Mapping[str, str]) -> list[TensorMetadata]:
    return [
        TensorMetadata(name=name, datatype=datatype, shape=[-1 if name in VARYING else 1])
        for name, datatype in datatypes.items()
    ]
