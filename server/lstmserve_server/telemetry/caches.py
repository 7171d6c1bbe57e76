"""Counts what happens in the caches: the server's answer to ``cache.observer.CacheObserver``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from prometheus_client import Counter
from prometheus_client.samples import Sample

from lstmserve_server.telemetry.metrics import EntryFamilies, Metrics

NOT_ASKED = "skipped"


@dataclass(frozen=True, slots=True)
class EntryTotals:
    """What became of the entries of one kind in one store since the process started."""

    hits: int
    misses: int
    failures: int  # lookups that brought no answer
    stored: int
    evicted: int


class Named(Protocol):
    """A member of a closed set of names."""

    @property
    def value(self) -> str: ...


class Store(Protocol):
    """A store that knows how much it holds."""

    @property
    def max_bytes(self) -> int: ...

    @property
    def num_bytes(self) -> int: ...

    @property
    def num_entries(self) -> int: ...


class CacheMetrics:
    """Turns what the caches do into metrics, and tells the totals."""

    def __init__(self, metrics: Metrics) -> None:
        self._families = metrics.cache
        self._kinds = {"reply": metrics.cache.replies, "state": metrics.cache.states}

    def of(self, kind: Named) -> EntryFamilies:
        """The metrics of entries of one kind."""
        return self._kinds[kind.value]

    def on_lookup(self, kind: Named, store: Named, outcome: Named, seconds: float) -> None:
        """A store was asked for an entry, or would have been."""
        entries = self.of(kind)
        entries.lookups.labels(store.value, outcome.value).inc()
        if outcome.value != NOT_ASKED:
            entries.lookup_seconds.labels(store.value).observe(seconds)

    def on_stored(self, kind: Named, store: Named) -> None:
        """An entry was written."""
        self.of(kind).stores.labels(store.value).inc()

    def on_evicted(self, kind: Named, store: Named, cause: str) -> None:
        """An entry is gone: size, expired or purged."""
        self.of(kind).evictions.labels(store.value, cause).inc()

    def on_problem(self, kind: Named, problem: Named) -> None:
        """Something went wrong, and no caller noticed."""
        self.of(kind).errors.labels(problem.value).inc()

    def on_breaker(self, *, is_open: bool) -> None:
        """Redis is left alone from now on, or asked again."""
        self._families.breaker_open.set(int(is_open))

    def on_coalesced(self) -> None:
        """A request joined an identical one in flight."""
        self._families.coalesced_requests.inc()

    def begin(self, kind: Named, store: Named) -> None:
        """Let the series of a store begin at zero, so that their first increase shows."""
        entries, name = self.of(kind), store.value
        for outcome in ("hit", "miss"):
            entries.lookups.labels(name, outcome)
        entries.lookup_seconds.labels(name)
        entries.stores.labels(name)

    def watch(self, kind: Named, store: Store) -> None:
        """Read how much a store in memory holds at every scrape."""
        entries = self.of(kind)
        entries.bytes.labels("memory").set_function(lambda: store.num_bytes)
        entries.entries.labels("memory").set_function(lambda: store.num_entries)
        entries.max_bytes.labels("memory").set(store.max_bytes)

    # --- totals ------------------------------------------------------------------------

    @property
    def num_coalesced(self) -> int:
        """Requests that joined an identical one."""
        return _total(self._families.coalesced_requests)

    @property
    def saved_seconds(self) -> float:
        """Generating that was not done again."""
        return sum(sample.value for sample in _samples(self._families.saved_seconds))

    def count(self, kind: Named, store: Named) -> EntryTotals:
        """What became of the entries of one kind in one store."""
        entries, name = self.of(kind), store.value
        return EntryTotals(
            hits=_total(entries.lookups, store=name, outcome="hit"),
            misses=_total(entries.lookups, store=name, outcome="miss"),
            failures=_total(entries.lookups, store=name, outcome="error")
            + _total(entries.lookups, store=name, outcome=NOT_ASKED),
            stored=_total(entries.stores, store=name),
            evicted=_total(entries.evictions, store=name),
        )


def _total(counter: Counter, **labels: str) -> int:
    """What a counter has counted with these labels, whatever its others."""
    found = (sample for sample in _samples(counter) if labels.items() <= sample.labels.items())
    return int(sum(sample.value for sample in found))


def _samples(counter: Counter) -> Iterator[Sample]:
    for family in counter.collect():
        yield from family.samples
