"""CacheService: what administrators see of the caches, and do to them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc

from lstmserve.v1 import cache_service_pb2 as pb
from lstmserve.v1 import cache_service_pb2_grpc
from lstmserve.v1 import generation_service_pb2 as generation_pb
from lstmserve_server.cache.entry_key import Kind, Selection
from lstmserve_server.cache.observer import CacheTotals, StoreName
from lstmserve_server.cache.stores import CacheStores
from lstmserve_server.errors import FieldViolation, InvalidRequestError
from lstmserve_server.rpc.call import current_call
from lstmserve_server.rpc.identity import sticky_key, to_scope
from lstmserve_server.rpc.request import to_reply_request
from lstmserve_server.rpc.samples import count_samples
from lstmserve_server.rpc.service import Service
from lstmserve_server.store.served_model import ServedModel

Context = grpc.aio.ServicerContext[Any, Any]
KINDS = {
    Kind.REPLY: pb.CACHE_ENTRY_KIND_REPLY,
    Kind.STATE: pb.CACHE_ENTRY_KIND_STATE,
}


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
        call = current_call.get().call
        key = sticky_key(wanted, call.identity.sticky)
        model = self._service.catalog.resolve(
            wanted.model, wanted.model_version, key, field="request.model"
        )
        with model.gate.enter():
            with _inside("request"):
                _check_exact(model)
                _check_single(wanted)
                asked = await to_reply_request(
                    wanted,
                    call,
                    context,
                    model,
                    self._service.tokenizing,
                    self._service.constraining,
                    is_per_caller=config.is_per_caller,
                )
            warmed = await self._service.replies.warm(asked, model)
        return pb.WarmCacheResponse(
            generated=warmed.generated, already_stored=warmed.already_stored
        )

    def _to_selection(self, request: pb.PurgeCacheRequest) -> Selection:
        """Return what is selected. Raises InvalidRequestError for a caller who can own nothing."""
        is_per_caller = self._service.cache_config.is_per_caller
        return Selection(
            request.model if request.HasField("model") else None,
            request.model_version if request.HasField("model_version") else None,
            to_scope(request.caller, current_call.get().call.identity, is_per_caller=is_per_caller)
            if request.HasField("caller")
            else None,
            request.tag if request.HasField("tag") else None,
        )


def _check_exact(model: ServedModel) -> None:
    if not model.is_exact:
        what = (
            f"{model.name} version {model.version} is served inexact: none of its replies is kept"
        )
        raise InvalidRequestError([FieldViolation("model_version", what)])


def _check_single(request: generation_pb.GenerateReplyRequest) -> None:
    if count_samples(request) > 1:
        field = "best_of" if request.HasField("best_of") else "num_replies"
        what = "must be 1: warm a request for each seed, with sampling.logprobs set"
        raise InvalidRequestError([FieldViolation(field, what)])


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


async def to_stats(service: Service) -> pb.GetCacheStatsResponse:
    stores, totals = service.stores, service.cache_totals
    return pb.GetCacheStatsResponse(
        enabled=service.cache_config.is_on,
        stores=[*_memory_stats(stores, totals), *_redis_entry_stats(stores, totals)],
        redis=await _redis_stats(stores),
        coalesced_requests=totals.num_coalesced,
        saved_seconds=totals.saved_seconds,
        threshold=service.cache_config.threshold,
        variants=service.cache_config.variants,
    )


def _memory_stats(stores: CacheStores, totals: CacheTotals) -> list[pb.CacheStoreStats]:
    found = []
    for kind, store in stores.memory.items():
        # first: a store that is asked does what it had put off, which is counted then
        entries, num_bytes = store.num_entries, store.num_bytes
        stats = _entry_stats(kind, StoreName.MEMORY, totals)
        stats.entries, stats.bytes, stats.max_bytes = entries, num_bytes, store.max_bytes
        found.append(stats)
    return found


def _redis_entry_stats(stores: CacheStores, totals: CacheTotals) -> list[pb.CacheStoreStats]:
    if stores.redis is None:
        return []
    return [_entry_stats(kind, StoreName.REDIS, totals) for kind in Kind]


def _entry_stats(kind: Kind, store: StoreName, totals: CacheTotals) -> pb.CacheStoreStats:
    counted = totals.count(kind, store)
    return pb.CacheStoreStats(
        store=store.value,
        kind=KINDS[kind],
        hits=counted.hits,
        misses=counted.misses,
        failures=counted.failures,
        stored=counted.stored,
        evicted=counted.evicted,
    )


async def _redis_stats(stores: CacheStores) -> pb.RedisStats | None:
    if stores.redis is None:
        return None
    stats = await stores.redis.stats()
    if stats is None:
        return pb.RedisStats(address=stores.redis.address, available=False)
    return pb.RedisStats(
        address=stores.redis.address,
        available=stats.is_asked,
        used_bytes=stats.used_memory_bytes,
        max_bytes=stats.max_memory_bytes,
        eviction_policy=stats.max_memory_policy,
    )
