"""What the caches tell to whoever counts, and what that has counted: handed in from above."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Protocol

from lstmserve_server.cache.entry_key import Kind


class StoreName(StrEnum):
    """Where entries are kept."""

    MEMORY = "memory"
    REDIS = "redis"


class Lookup(StrEnum):
    """What came of asking one store for one entry."""

    HIT = "hit"
    MISS = "miss"
    ERROR = "error"  # the store failed or was too slow: for the caller a miss
    SKIPPED = "skipped"  # not asked, because its breaker is open: for the caller a miss


class Problem(Enum):
    """What went wrong with a store, or with what it held."""

    TIMEOUT = "timeout"
    CONNECTION = "connection"
    CREDENTIALS = "credentials"  # it does not know us
    # what Redis refuses, by the code of its error
    LOADING = "loading"  # it reads its data
    MASTERDOWN = "masterdown"  # a replica that has lost its primary
    CLUSTERDOWN = "clusterdown"  # a cluster without a node for some keys
    READONLY = "readonly"  # a replica: no writes
    MOVED = "moved"  # a cluster's node, which was taken for a single server
    MISCONF = "misconf"  # it cannot save its data: no writes
    NOREPLICAS = "noreplicas"  # it has too few replicas: no writes
    OOM = "oom"  # it is full: no writes
    NOPERM = "noperm"  # the user may not do this
    BUSY = "busy"  # somebody's script runs for too long
    WRONGTYPE = "wrongtype"  # somebody else's data under our key
    CORRUPT = "corrupt"  # an entry that cannot be read, or is another key's
    DROPPED = "dropped"  # a write: too many waited, or Redis failed
    OTHER = "other"


class CacheObserver(Protocol):
    """Told what happens to the entries of each kind; must be quick and must not raise."""

    def on_lookup(self, kind: Kind, store: StoreName, outcome: Lookup, seconds: float) -> None:
        """Tell that a store was asked for an entry, or would have been."""

    def on_stored(self, kind: Kind, store: StoreName) -> None:
        """Tell that an entry was written."""

    def on_evicted(self, kind: Kind, store: StoreName, cause: str) -> None:
        """Tell that an entry is gone: size, expired or purged."""

    def on_problem(self, kind: Kind, problem: Problem) -> None:
        """Tell that something went wrong, and no caller noticed."""

    def on_breaker(self, *, is_open: bool) -> None:
        """Tell that Redis is left alone from now on, or asked again."""

    def on_coalesced(self) -> None:
        """Tell that a request joined an identical one in flight."""


@dataclass(frozen=True, slots=True)
class EntryTotals:
    """What became of the entries of one kind in one store since the process started."""

    hits: int
    misses: int
    failures: int  # lookups that brought no answer
    stored: int
    evicted: int


class CacheTotals(Protocol):
    """What was counted since the process started."""

    @property
    def num_coalesced(self) -> int:
        """Requests that joined an identical one."""

    @property
    def saved_seconds(self) -> float:
        """Generating that was not done again."""

    def count(self, kind: Kind, store: StoreName) -> EntryTotals:
        """Return what became of the entries of one kind in one store."""
