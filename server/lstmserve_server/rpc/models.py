"""ModelService: which models answer, their cards, and what operators may change."""

from __future__ import annotations

from typing import Any

import grpc

from lstmserve.v1 import model_service_pb2 as pb
from lstmserve.v1 import model_service_pb2_grpc
from lstmserve_server.rpc.call import Served, current_call
from lstmserve_server.rpc.card import (
    NamesVersion,
    to_card,
    to_model_name,
    to_version,
    to_version_id,
    to_weights,
)
from lstmserve_server.rpc.service import Service
from lstmserve_server.store.directives import VersionId
from lstmserve_server.store.version_record import VersionRecord

Context = grpc.aio.ServicerContext[Any, Any]


class ModelServicer(model_service_pb2_grpc.ModelServiceServicer):
    """Reads the inventory, and has the administration change it."""

    def __init__(self, service: Service) -> None:
        self._catalog = service.catalog
        self._administration = service.administration

    async def ListModels(
        self, request: pb.ListModelsRequest, context: Context
    ) -> pb.ListModelsResponse:
        return pb.ListModelsResponse(models=map(self._card, self._administration.inventory))

    async def GetModel(self, request: pb.GetModelRequest, context: Context) -> pb.GetModelResponse:
        record = self._find(request.name, request.version)
        return pb.GetModelResponse(model=self._card(record))

    async def LoadModel(
        self, request: pb.LoadModelRequest, context: Context
    ) -> pb.LoadModelResponse:
        record = await self._administration.load(_named(request))
        return pb.LoadModelResponse(model=self._card(record))

    async def UnloadModel(
        self, request: pb.UnloadModelRequest, context: Context
    ) -> pb.UnloadModelResponse:
        record = await self._administration.unload(_named(request))
        return pb.UnloadModelResponse(model=self._card(record))

    async def VerifyModel(
        self, request: pb.VerifyModelRequest, context: Context
    ) -> pb.VerifyModelResponse:
        record = await self._administration.verify(_named(request))
        return pb.VerifyModelResponse(model=self._card(record))

    async def SetDefaultModel(
        self, request: pb.SetDefaultModelRequest, context: Context
    ) -> pb.SetDefaultModelResponse:
        name = to_model_name(request.name)
        version = to_version("version", request.version) if request.version else None
        record = self._administration.set_default(name, version)
        return pb.SetDefaultModelResponse(model=self._card(record))

    async def SetTrafficSplit(
        self, request: pb.SetTrafficSplitRequest, context: Context
    ) -> pb.SetTrafficSplitResponse:
        name = to_model_name(request.name)
        self._administration.set_traffic(name, to_weights(request.weights))
        versions = [record for record in self._administration.inventory if record.id[0] == name]
        return pb.SetTrafficSplitResponse(models=map(self._card, versions))

    def _find(self, name: str, version: str) -> VersionRecord:
        """Return a version that answers, or one of the store; may raise as resolving does."""
        inventory = self._administration.inventory
        wanted = (name or inventory.default_model, version)
        for record in inventory:
            if (record.id[0], str(record.id[1])) == wanted:
                return record
        served = self._catalog.resolve(name, version, field="name")
        return next(record for record in inventory if record.served is served)

    def _card(self, record: VersionRecord) -> pb.Model:
        card = to_card(record, self._catalog)
        if not current_call.get().call.identity.may_administer:
            card.state_reason = ""  # it names files of this machine
        return card


def _named(request: NamesVersion) -> VersionId:
    """Return the version that a request names, and hand it over for the log line."""
    version = to_version_id(request)
    current_call.get().served = Served(request.name, request.version)
    return version
