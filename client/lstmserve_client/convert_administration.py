"""Between the messages of caches and operations and what a caller gives and gets. Pure, no I/O."""

from lstmserve.v1 import cache_service_pb2 as pb
from lstmserve.v1 import operations_service_pb2 as operations_pb
from lstmserve_client import types

_KINDS = {
    pb.CACHE_ENTRY_KIND_REPLY: types.CacheEntryKind.REPLY,
    pb.CACHE_ENTRY_KIND_STATE: types.CacheEntryKind.STATE,
}
_LOG_LEVELS = {
    operations_pb.LOG_LEVEL_DEBUG: types.LogLevel.DEBUG,
    operations_pb.LOG_LEVEL_INFO: types.LogLevel.INFO,
    operations_pb.LOG_LEVEL_WARNING: types.LogLevel.WARNING,
    operations_pb.LOG_LEVEL_ERROR: types.LogLevel.ERROR,
}
_NUMBERS = {level: number for number, level in _LOG_LEVELS.items()}


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


def log_level(number: operations_pb.LogLevel.ValueType) -> types.LogLevel:
    return _LOG_LEVELS.get(number, types.LogLevel.UNKNOWN)


def set_log_level_request(level: types.LogLevel) -> operations_pb.SetLogLevelRequest:
    """One that is unknown here is for the server to refuse."""
    return operations_pb.SetLogLevelRequest(
        level=_NUMBERS.get(level, operations_pb.LOG_LEVEL_UNSPECIFIED)
    )


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
