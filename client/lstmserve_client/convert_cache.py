"""From the cache service's messages to what a caller gets. Pure functions, no I/O."""

from lstmserve.v1 import cache_service_pb2 as pb
from lstmserve_client import types

_KINDS = {
    pb.CACHE_ENTRY_KIND_REPLY: types.CacheEntryKind.REPLY,
    pb.CACHE_ENTRY_KIND_STATE: types.CacheEntryKind.STATE,
}


def cache_stats(message: pb.GetCacheStatsResponse) -> types.CacheStats:
    return types.CacheStats(
        enabled=message.enabled,
        stores=tuple(map(_store_stats, message.stores)),
        redis=_redis_stats(message.redis) if message.HasField("redis") else None,
        coalesced_requests=message.coalesced_requests,
        saved_seconds=message.saved_seconds,
        threshold=message.threshold,
        variants=message.variants,
    )


def cache_purged(message: pb.PurgeCacheResponse) -> types.CachePurged:
    return types.CachePurged(message.memory_entries, message.redis_entries)


def cache_warmed(message: pb.WarmCacheResponse) -> types.CacheWarmed:
    return types.CacheWarmed(message.generated, message.already_stored)


def _store_stats(message: pb.CacheStoreStats) -> types.CacheStoreStats:
    return types.CacheStoreStats(
        store=message.store,
        kind=_KINDS.get(message.kind, types.CacheEntryKind.UNKNOWN),
        hits=message.hits,
        misses=message.misses,
        failures=message.failures,
        stored=message.stored,
        evicted=message.evicted,
        entries=message.entries,
        used_bytes=message.bytes,
        max_bytes=message.max_bytes,
    )


def _redis_stats(message: pb.RedisStats) -> types.RedisStats:
    return types.RedisStats(
        address=message.address,
        available=message.available,
        used_bytes=message.used_bytes,
        max_bytes=message.max_bytes,
        eviction_policy=message.eviction_policy,
    )
