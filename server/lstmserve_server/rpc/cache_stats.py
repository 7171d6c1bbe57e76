"""The caches' figures on the wire."""

from __future__ import annotations

from lstmserve.v1 import cache_service_pb2 as pb
from lstmserve_server.cache.entry_key import Kind
from lstmserve_server.cache.observer import StoreName
from lstmserve_server.cache.stores import CacheStores
from lstmserve_server.rpc.service import Service
from lstmserve_server.telemetry.caches import CacheMetrics

KINDS = {
    Kind.REPLY: pb.CACHE_ENTRY_KIND_REPLY,
    Kind.STATE: pb.CACHE_ENTRY_KIND_STATE,
}


async def to_stats(service: Service) -> pb.GetCacheStatsResponse:
    stores, metrics = service.stores, service.cache_metrics
    return pb.GetCacheStatsResponse(
        enabled=service.cache_config.is_on,
        stores=[*_memory_stats(stores, metrics), *_redis_entry_stats(stores, metrics)],
        redis=await _redis_stats(stores),
        coalesced_requests=metrics.num_coalesced,
        saved_seconds=metrics.saved_seconds,
        threshold=service.cache_config.threshold,
        variants=service.cache_config.variants,
    )


def _memory_stats(stores: CacheStores, metrics: CacheMetrics) -> list[pb.CacheStoreStats]:
    found = []
    for kind, store in stores.memory.items():
        # first: a store that is asked does what it had put off, which is counted then
        entries, num_bytes = store.num_entries, store.num_bytes
        stats = _entry_stats(kind, StoreName.MEMORY, metrics)
        stats.entries, stats.bytes, stats.max_bytes = entries, num_bytes, store.max_bytes
        found.append(stats)
    return found


def _redis_entry_stats(stores: CacheStores, metrics: CacheMetrics) -> list[pb.CacheStoreStats]:
    if stores.redis is None:
        return []
    return [_entry_stats(kind, StoreName.REDIS, metrics) for kind in Kind]


def _entry_stats(kind: Kind, store: StoreName, metrics: CacheMetrics) -> pb.CacheStoreStats:
    totals = metrics.count(kind, store)
    return pb.CacheStoreStats(
        store=store.value,
        kind=KINDS[kind],
        hits=totals.hits,
        misses=totals.misses,
        failures=totals.failures,
        stored=totals.stored,
        evicted=totals.evicted,
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
