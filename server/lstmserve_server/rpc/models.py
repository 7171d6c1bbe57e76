"""ModelService: which models answer, and their cards.

Loading, unloading and changing the default at run time are not served by this version:
restart the server on a store that holds what it should serve.
"""

from __future__ import annotations

from typing import Any, NoReturn

import grpc

from lstmserve.v1 import model_service_pb2 as pb
from lstmserve.v1 import model_service_pb2_grpc
from lstmserve_server.errors import NotServedError
from lstmserve_server.rpc.card import to_card
from lstmserve_server.store.catalog import ModelCatalog

Context = grpc.aio.ServicerContext[Any, Any]


class ModelServicer(model_service_pb2_grpc.ModelServiceServicer):
    """Reads the catalog."""

    def __init__(self, catalog: ModelCatalog) -> None:
        self._catalog = catalog

    async def ListModels(
        self, request: pb.ListModelsRequest, context: Context
    ) -> pb.ListModelsResponse:
        return pb.ListModelsResponse(models=map(self._card, self._catalog))

    async def GetModel(self, request: pb.GetModelRequest, context: Context) -> pb.GetModelResponse:
        found = self._catalog.resolve(request.name, request.version)
        return pb.GetModelResponse(model=self._card(found))

    async def LoadModel(self, request: pb.LoadModelRequest, context: Context) -> NoReturn:
        raise NotServedError("LoadModel is not served yet; the server loads models at start")

    async def UnloadModel(self, request: pb.UnloadModelRequest, context: Context) -> NoReturn:
        raise NotServedError("UnloadModel is not served yet; the server loads models at start")

    async def SetDefaultModel(
        self, request: pb.SetDefaultModelRequest, context: Context
    ) -> NoReturn:
        raise NotServedError("SetDefaultModel is not served yet; use --default-model at start")

    def _card(self, model: ServedModel) -> pb.Model:
        return to_card(model, is_default=self._catalog.is_default(model))
