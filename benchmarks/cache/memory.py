"""What kept entries are charged, and by how much they make a fresh process larger."""

from __future__ import annotations

import random
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from multiprocessing import get_context

import psutil
from redis import Redis

from benchmarks.cache.sizes import Sizes
from benchmarks.cache.stage import Stage
from benchmarks.load.findings import Finding, Target
from lstmserve_server.cache.entry_key import EntryKey, Kind, Owner
from lstmserve_server.cache.memory_store import MemoryStore
from lstmserve_server.cache.observer import CacheObserver, Lookup, Problem, StoreName
from lstmserve_server.cache.redis.keys import KeyNames

MEBIBYTE = 2**20
TTL_SECONDS = 86400.0
VERSION = 1_732_800_000  # a number that every request writes anew
MOST_APART = 0.15
# how often the store is filled: an entry that takes another's place lies less neatly
FILLS = (0.9, 4.0)


@dataclass(frozen=True)
class Filling:
    """Entries of one size in a store with a bound."""

    kind: Kind
    entry_bytes: int
    max_bytes: int
    scope: str = ""


FILLINGS = (
    (Kind.REPLY, 1000, ""),
    (Kind.REPLY, 100, ""),
    (Kind.REPLY, 1000, "caller:{}"),
    (Kind.REPLY, 16_000, ""),
    (Kind.STATE, 8192 + 20, ""),  # a state of support-en, sealed
)
IN_REDIS = ((Kind.REPLY, 700), (Kind.STATE, 8192 + 20))
PIPELINED = 100


async def measure_memory(stage: Stage, sizes: Sizes) -> list[Finding]:
    findings = []
    for kind, entry_bytes, scope in FILLINGS[: sizes.memory_fillings]:
        filling = Filling(kind, entry_bytes, sizes.memory_bytes, scope)
        findings += [_describe(filling, times) for times in FILLS]
    return findings + [
        _measure_redis(stage.redis.url, kind, entry_bytes, sizes.memory_bytes // entry_bytes)
        for kind, entry_bytes in IN_REDIS
    ]


def _describe(filling: Filling, times: float) -> Finding:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
        entries, charged, grown = fresh.submit(fill, filling, times).result()
    whose = ", each of another caller" if filling.scope else ""
    return Finding(
        f"{filling.kind.value} of {filling.entry_bytes:,} bytes{whose}, filled {times:g} times",
        grown / charged,
        "of what is charged",
        Target(1 + MOST_APART),
        f"{charged / MEBIBYTE:.1f} MiB charged, {grown / MEBIBYTE:.1f} grown; {entries:,} entries, "
        f"each charged {charged / entries:,.0f} and takes {grown / entries:,.0f}",
    )


def fill(filling: Filling, times: float) -> tuple[int, int, int]:
    """Entries held, bytes charged, and bytes by which this process has grown."""
    rng = random.Random(0)
    process = psutil.Process()
    store = MemoryStore(filling.kind, filling.max_bytes, TTL_SECONDS, Deaf())
    before = process.memory_info().rss
    for number in count():
        owner = Owner("support-en", str(VERSION), "d" * 64, filling.scope.format(number))
        key = EntryKey(filling.kind, owner, "00", rng.randbytes(32))
        store.get(key)  # as each request does
        store.put(key, rng.randbytes(filling.entry_bytes))
        if number == 0:
            entries = times * filling.max_bytes / store.num_bytes
        elif number >= entries:
            break
    return store.num_entries, store.num_bytes, process.memory_info().rss - before


def _measure_redis(url: str, kind: Kind, entry_bytes: int, entries: int) -> Finding:
    """What Redis takes for entries as the server writes them, names and all."""
    rng = random.Random(0)
    owner, names = Owner("support-en", "1", "d" * 64), KeyNames("lstmserve")
    with closing(Redis.from_url(url)) as client, client.pipeline(transaction=False) as pipeline:
        client.flushall()
        before = client.info("memory")["used_memory"]
        for number in range(entries):
            digest = rng.randbytes(32)
            key = EntryKey(kind, owner, digest[:1].hex(), digest)
            pipeline.set(names.entry(key), rng.randbytes(entry_bytes), px=round(1000 * TTL_SECONDS))
            if number % PIPELINED == 0:
                pipeline.execute()
        pipeline.execute()
        taken = client.info("memory")["used_memory"] - before
    what = f"{kind.value} of {entry_bytes:,} bytes in Redis"
    return Finding(what, round(taken / entries), "bytes", note=f"{entries:,} entries")


class Deaf(CacheObserver):
    """Counts nothing: what is measured is the store."""

    def on_lookup(self, kind: Kind, store: StoreName, outcome: Lookup, seconds: float) -> None: ...

    def on_stored(self, kind: Kind, store: StoreName) -> None: ...

    def on_evicted(self, kind: Kind, store: StoreName, cause: str) -> None: ...

    def on_problem(self, kind: Kind, problem: Problem) -> None: ...

    def on_breaker(self, *, is_open: bool) -> None: ...

    def on_coalesced(self) -> None: ...
