"""CacheService: what administrators see of the caches, and do to them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc

from lstmserve.v1 import cache_service_pb2 as pb
from lstmserve.v1 import cache_service_pb2_grpc
from lstmserve_server.cache.entry_key import Selection
from lstmserve_server.errors import FieldViolation, InvalidRequestError
from lstmserve_server.rpc.cache_stats import to_stats
from lstmserve_server.rpc.call import current_call
from lstmserve_server.rpc.identity import sticky_key, to_scope
from lstmserve_server.rpc.request import to_reply_request
from lstmserve_server.rpc.service import Service
from lstmserve_server.store.served_model import ServedModel

Context = grpc.aio.ServicerContext[Any, Any]


class CacheServicer(cache_service_pb2_grpc.CacheServiceServicer):
    """Looks into the caches, fills and empties them."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def GetCacheStats(
        self, request: pb.GetCacheStatsRequest, context: Context
    ) -> pb.GetCacheStatsResponse:
        return await to_stats(self._service)

    async def PurgeCache(
        self, request: pb.PurgeCacheRequest, context: Context
    ) -> pb.PurgeCacheResponse:
        purged = await self._service.stores.purge(self._to_selection(request))
        return pb.PurgeCacheResponse(memory_entries=purged.near, redis_entries=purged.far)

    async def WarmCache(
        self, request: pb.WarmCacheRequest, context: Context
    ) -> pb.WarmCacheResponse:
        wanted, config = request.request, self._service.cache_config
        call = current_call.get()
        key = sticky_key(wanted, call.identity.sticky)
        model = self._service.catalog.resolve(
            wanted.model, wanted.model_version, key, field="request.model"
        )
        with model.gate.enter():
            with _inside("request"):
                _check_exact(model)
                asked = await to_reply_request(
                    wanted,
                    call,
                    context,
                    model,
                    self._service.tokenizing,
                    is_per_caller=config.is_per_caller,
                )
            warmed = await self._service.replies.warm(asked, model)
        return pb.WarmCacheResponse(
            generated=warmed.generated, already_stored=warmed.already_stored
        )

    def _to_selection(self, request: pb.PurgeCacheRequest) -> Selection:
        """Raises InvalidRequestError when it names a caller who can own nothing."""
        is_per_caller = self._service.cache_config.is_per_caller
        return Selection(
            request.model if request.HasField("model") else None,
            request.model_version if request.HasField("model_version") else None,
            to_scope(request.caller, current_call.get().identity, is_per_caller=is_per_caller)
            if request.HasField("caller")
            else None,
        )


def _check_exact(model: ServedModel) -> None:
    if not model.is_exact:
        what = (
            f"{model.name} version {model.version} is served inexact: none of its replies is kept"
        )
        raise InvalidRequestError([FieldViolation("model_version", what)])


@contextmanager
def _inside(field: str) -> Iterator[None]:
    """Name wrong fields by where they stand in the whole message."""
    try:
        yield
    except InvalidRequestError as error:
        violations = [
            FieldViolation(f"{field}.{item.field}", item.description) for item in error.violations
        ]
        raise InvalidRequestError(violations) from None
