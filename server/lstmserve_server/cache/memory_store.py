"""Entries kept in this process, within a bound of bytes."""

from __future__ import annotations

import time
from collections.abc import Iterable
from sys import getsizeof, intern
from typing import Literal

import msgspec
from moka_py import Moka

from lstmserve_server.cache.entry_key import EntryKey, Kind, Selection
from lstmserve_server.cache.observer import CacheObserver, Lookup, StoreName

# Of replies the most frequent are kept longest; a state is asked for once or twice, soon after
# it was made, so there the latest are.
POLICIES: dict[Kind, Literal["tiny_lfu", "lru"]] = {Kind.REPLY: "tiny_lfu", Kind.STATE: "lru"}
# what an entry takes besides its bytes: its objects, moka's, and their shares of both hash tables
# and of what is free between them; python -m benchmarks.cache --only memory measures it
OVERHEAD_BYTES = 750
# of all that is held: moka lets go of entries late, and is told to after so much
LATE_SHARE = 1 / 128


class Kept(msgspec.Struct, frozen=True, eq=False, gc=False):
    """One entry and what it is purged by. Garbage collection need not look at it."""

    model: str
    version: str
    scope: str
    data: bytes
    tags: tuple[str, ...] = ()


class MemoryStore:
    """Entries of one kind. What goes first, and when it is too old, is moka's work."""

    def __init__(
        self, kind: Kind, max_bytes: int, ttl_seconds: float, observer: CacheObserver
    ) -> None:
        self.max_bytes = max_bytes
        self._kind = kind
        self._observer = observer
        self._kept: dict[bytes, Kept] = {}  # for purging
        self._late_bytes = 0  # put since moka let go of what is too much
        self._entries: Moka[bytes, Kept] = Moka(
            max_bytes,
            ttl=ttl_seconds,
            weigher=lambda _digest, kept: weigh(kept),
            eviction_listener=self._on_gone,
            policy=POLICIES[kind],
        )

    @property
    def num_bytes(self) -> int:
        """What all entries take, in bytes, with all that holds them."""
        self._entries.run_pending_tasks()
        return self._entries.weighted_size()

    @property
    def num_entries(self) -> int:
        self._entries.run_pending_tasks()
        return self._entries.count()

    def get(self, key: EntryKey) -> bytes | None:
        """Return an entry, if it is here."""
        found = self.find_first((key,))
        return None if found is None else found[1]

    def find_first(self, keys: Iterable[EntryKey]) -> tuple[int, bytes] | None:
        """Return the first of several entries that is here, and its place: one lookup."""
        started_at = time.perf_counter()
        kept = ((place, self._entries.get(key.digest)) for place, key in enumerate(keys))
        found = next(((place, entry.data) for place, entry in kept if entry is not None), None)
        outcome = Lookup.MISS if found is None else Lookup.HIT
        seconds = time.perf_counter() - started_at
        self._observer.on_lookup(self._kind, StoreName.MEMORY, outcome, seconds)
        return found

    def peek(self, key: EntryKey) -> bytes | None:
        """Return an entry, if it is here; that is no lookup."""
        kept = self._entries.get(key.digest)
        return None if kept is None else kept.data

    def find_again(self, key: EntryKey, data: bytes) -> bool:
        """Return whether an entry still is this very object; only then it was a lookup."""
        started_at = time.perf_counter()
        kept = self._entries.get(key.digest)
        if kept is None or kept.data is not data:
            return False
        seconds = time.perf_counter() - started_at
        self._observer.on_lookup(self._kind, StoreName.MEMORY, Lookup.HIT, seconds)
        return True

    def put(self, key: EntryKey, data: bytes) -> None:
        """Keep an entry, unless others are more frequent."""
        owner = key.owner
        # a version's number is written anew for each request, and takes as much each time
        tags = tuple(map(intern, owner.tags))
        kept = Kept(intern(owner.model), intern(owner.version), owner.scope, data, tags)
        self._kept[key.digest] = kept
        self._entries.set(key.digest, kept)
        self._late_bytes += weigh(kept)
        if self._late_bytes > LATE_SHARE * self.max_bytes:
            self._entries.run_pending_tasks()
            self._late_bytes = 0
        self._observer.on_stored(self._kind, StoreName.MEMORY)

    def purge(self, selection: Selection) -> int:
        """Drop the entries of the selected owners; return how many they were."""
        digests = [digest for digest, kept in self._kept.items() if selection.includes(kept)]
        found = [self._entries.remove(digest) for digest in digests]
        return sum(kept is not None for kept in found)

    def _on_gone(self, digest: bytes, kept: Kept, cause: str) -> None:
        if self._kept.get(digest) is kept:  # and not what replaced it
            del self._kept[digest]
        if cause != "replaced":
            cause = "purged" if cause == "explicit" else cause
            self._observer.on_evicted(self._kind, StoreName.MEMORY, cause)


def weigh(kept: Kept) -> int:
    """Return what an entry takes, in bytes; its other words are the model's own."""
    scope_bytes = getsizeof(kept.scope) if kept.scope else 0
    tag_bytes = getsizeof(kept.tags) + sum(map(getsizeof, kept.tags)) if kept.tags else 0
    return len(kept.data) + scope_bytes + tag_bytes + OVERHEAD_BYTES
