"""Entries kept in this process, within a bound of bytes."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from moka_py import Moka

from lstmserve_server.cache.entry_key import EntryKey, Kind, Owner, Selection
from lstmserve_server.cache.observer import CacheObserver, Lookup, StoreName

# Of replies the most frequent are kept longest; a state is asked for once or twice, soon after
# it was made, so there the latest are.
POLICIES: dict[Kind, Literal["tiny_lfu", "lru"]] = {Kind.REPLY: "tiny_lfu", Kind.STATE: "lru"}
# what an entry takes besides its bytes: measured with tracemalloc and resident memory
OVERHEAD_BYTES = 400


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """One entry and whom it belongs to."""

    owner: Owner
    data: bytes


class MemoryStore:
    """Entries of one kind. What goes first, and when it is too old, is moka's work."""

    def __init__(
        self, kind: Kind, max_bytes: int, ttl_seconds: float, observer: CacheObserver
    ) -> None:
        self.max_bytes = max_bytes
        self._kind = kind
        self._observer = observer
        self._owned: defaultdict[Owner, dict[bytes, Kept]] = defaultdict(dict)  # for purging
        self._entries: Moka[bytes, Kept] = Moka(
            max_bytes,
            ttl=ttl_seconds,
            weigher=lambda _digest, kept: len(kept.data) + OVERHEAD_BYTES,
            eviction_listener=self._on_gone,
            policy=POLICIES[kind],
        )

    @property
    def num_bytes(self) -> int:
        """What all entries take, in bytes."""
        self._entries.run_pending_tasks()
        return self._entries.weighted_size()

    @property
    def num_entries(self) -> int:
        self._entries.run_pending_tasks()
        return self._entries.count()

    def get(self, key: EntryKey) -> bytes | None:
        """An entry, if it is here."""
        found = self.find_first((key,))
        return None if found is None else found[1]

    def find_first(self, keys: Iterable[EntryKey]) -> tuple[int, bytes] | None:
        """The first of several entries that is here, and its place among them: one lookup."""
        started_at = time.perf_counter()
        kept = ((place, self._entries.get(key.digest)) for place, key in enumerate(keys))
        found = next(((place, entry.data) for place, entry in kept if entry is not None), None)
        outcome = Lookup.MISS if found is None else Lookup.HIT
        seconds = time.perf_counter() - started_at
        self._observer.on_lookup(self._kind, StoreName.MEMORY, outcome, seconds)
        return found

    def put(self, key: EntryKey, data: bytes) -> None:
        """Keep an entry, unless others are more frequent."""
        kept = self._owned[key.owner][key.digest] = Kept(key.owner, data)
        self._entries.set(key.digest, kept)
        self._observer.on_stored(self._kind, StoreName.MEMORY)

    def purge(self, selection: Selection) -> int:
        """Drop the entries of the selected owners; how many they were."""
        owners = [owner for owner in self._owned if selection.includes(owner)]
        digests = [digest for owner in owners for digest in self._owned[owner]]
        found = [self._entries.remove(digest) for digest in digests]
        return sum(kept is not None for kept in found)

    def _on_gone(self, digest: bytes, kept: Kept, cause: str) -> None:
        owned = self._owned[kept.owner]
        if owned.get(digest) is kept:  # and not what replaced it
            del owned[digest]
        if not owned:
            del self._owned[kept.owner]
        if cause != "replaced":
            cause = "purged" if cause == "explicit" else cause
            self._observer.on_evicted(self._kind, StoreName.MEMORY, cause)
