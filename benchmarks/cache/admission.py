"""How many requests that are asked once are taken for frequent, and what counting costs in hits."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from hashlib import blake2b
from itertools import islice
from time import monotonic

from benchmarks.cache.memory import Deaf
from benchmarks.cache.popularity import ideal_hit_ratio
from benchmarks.cache.sizes import Sizes
from benchmarks.cache.stage import Stage
from benchmarks.load.findings import Finding, Target
from benchmarks.load.prompts import draw_ranks
from lstmserve_server.cache.entry_key import EntryKey, Kind, Owner
from lstmserve_server.cache.memory_store import MemoryStore
from lstmserve_server.cache.redis.store import RedisStore
from lstmserve_server.cache.sketch import Sketch
from lstmserve_server.config import CacheConfig, RedisConfig

MOST_FALSE = Target(0.02)
THRESHOLD = 2
CONFIG = CacheConfig(threshold=THRESHOLD)
OWNER = Owner("support-en", "1", "d" * 64)
DIGEST_BYTES = 32
SHARDS = 256
AT_ONCE = 64
# more are not asked of Redis: shards count by themselves, so some of them tell of all
MOST_REDIS_KEYS = 50_000
PATIENCE_SECONDS = 60.0
EXPONENT = 1.0
REPLY_BYTES = 700  # of 64 tokens


async def measure_admission(stage: Stage, sizes: Sizes) -> list[Finding]:
    findings = []
    for keys in sizes.admission_keys:
        share = _count_false(keys)
        findings.append(
            Finding(f"{keys:,} different: false admissions, in process", share, target=MOST_FALSE)
        )
        findings.append(await _measure_redis(stage, keys))
    return findings


async def measure_tail(stage: Stage, sizes: Sizes) -> list[Finding]:
    """Popularity with a long tail: most of the prompts are asked for once, if at all."""
    del stage  # what one process decides, without a server
    asked = draw_ranks(sizes.tail_prompts, EXPONENT, sizes.tail_requests, seed=0)
    digests = [blake2b(str(rank).encode(), digest_size=DIGEST_BYTES).digest() for rank in asked]
    name = f"Zipf({EXPONENT}), {sizes.tail_prompts:,} prompts, {sizes.tail_requests:,} requests"
    findings = []
    for room, max_bytes in (("everything", 1 << 40), ("64 MiB", 64 << 20)):
        for threshold in (THRESHOLD, 1):
            ratio, kept = _find_hit_ratio(digests, threshold, max_bytes)
            what = f"{name}: hit ratio, memory for {room}, threshold {threshold}"
            ideal = ideal_hit_ratio(asked, None, threshold)
            note = f"of {ideal:.3f} if all were counted and kept; {kept:,} replies kept"
            findings.append(Finding(what, ratio, note=note))
    return findings


def _count_false(keys: int) -> float:
    """The share of things asked for once that look as if they had been before."""
    sketch = Sketch(CONFIG.window_seconds, monotonic)
    return sum(_ask(sketch, digest) >= THRESHOLD for digest in _draw_digests(keys)) / keys


def _ask(sketch: Sketch, digest: bytes) -> int:
    sketch.add(digest)
    return sketch.count(digest)


async def _measure_redis(stage: Stage, keys: int) -> Finding:
    """The same by the server's own lookups, of the keys of some shards where they are many."""
    shards = min(SHARDS, max(1, SHARDS * MOST_REDIS_KEYS // keys))
    asked = keys * shards // SHARDS
    redis = RedisConfig(
        stage.redis.url, prefix=f"admission-{keys}", budget_ms=1000 * PATIENCE_SECONDS
    )
    store = RedisStore(redis, CONFIG, Deaf())
    digests = _draw_digests(asked, shards)
    num_false = 0
    try:
        while some := [*islice(digests, AT_ONCE)]:
            counts = await asyncio.gather(*(_ask_redis(store, digest) for digest in some))
            num_false += sum(count >= THRESHOLD for count in counts)
    finally:
        await store.close()
    note = "" if shards == SHARDS else f"{asked:,} of them, all of {shards} of {SHARDS} shards"
    what = f"{keys:,} different: false admissions, in Redis"
    return Finding(what, num_false / asked, target=MOST_FALSE, note=note)


async def _ask_redis(store: RedisStore, digest: bytes) -> int:
    found = await store.look_up(_make_key(digest), digest)
    if found is None:
        raise TimeoutError("Redis does not answer")
    return found.count


def _find_hit_ratio(digests: list[bytes], threshold: int, max_bytes: int) -> tuple[float, int]:
    """Of what the cache of one process does; also how often a reply was kept."""
    sketch = Sketch(CONFIG.window_seconds, monotonic)
    store = MemoryStore(Kind.REPLY, max_bytes, CONFIG.ttl_seconds, Deaf())
    hits = kept = 0
    for digest in digests:
        key = _make_key(digest)
        sketch.add(digest)
        if store.get(key) is not None:
            hits += 1
        elif sketch.count(digest) >= threshold:
            store.put(key, bytes(REPLY_BYTES))
            kept += 1
    return hits / len(digests), kept


def _draw_digests(number: int, shards: int = SHARDS) -> Iterator[bytes]:
    """So many different ones, whose first byte, the shard, is one of so many."""
    rng = random.Random(number)
    for _ in range(number):
        yield bytes([rng.randrange(shards)]) + rng.randbytes(DIGEST_BYTES - 1)


def _make_key(digest: bytes) -> EntryKey:
    return EntryKey(Kind.REPLY, OWNER, digest[:1].hex(), digest)
