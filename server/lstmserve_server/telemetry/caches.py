"""Counts what happens in the caches."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from prometheus_client import Counter, Histogram
from prometheus_client.samples import Sample

from lstmserve_server.cache.entry_key import Kind
from lstmserve_server.cache.memory_store import MemoryStore
from lstmserve_server.cache.observer import EntryTotals, Lookup, Problem, StoreName
from lstmserve_server.telemetry.metrics import EntryFamilies, Metrics


class CacheMetrics:
    """Turns what the caches do into metrics, and tells the totals."""

    def __init__(self, metrics: Metrics) -> None:
        self._families = metrics.cache
        self._kinds = {Kind.REPLY: metrics.cache.replies, Kind.STATE: metrics.cache.states}
        # never forgotten, and few: their labels are closed sets
        self._find_lookups = cache(self._make_lookups)

    def of(self, kind: Kind) -> EntryFamilies:
        """The metrics of entries of one kind."""
        return self._kinds[kind]

    def on_lookup(self, kind: Kind, store: StoreName, outcome: Lookup, seconds: float) -> None:
        """A store was asked for an entry, or would have been."""
        lookups, lookup_seconds = self._find_lookups(kind, store, outcome)
        lookups.inc()
        if outcome is not Lookup.SKIPPED:
            lookup_seconds.observe(seconds)

    def _make_lookups(
        self, kind: Kind, store: StoreName, outcome: Lookup
    ) -> tuple[Counter, Histogram]:
        entries = self.of(kind)
        counter = entries.lookups.labels(store.value, outcome.value)
        return counter, entries.lookup_seconds.labels(store.value)

    def on_stored(self, kind: Kind, store: StoreName) -> None:
        """An entry was written."""
        self.of(kind).stores.labels(store.value).inc()

    def on_evicted(self, kind: Kind, store: StoreName, cause: str) -> None:
        """An entry is gone: size, expired or purged."""
        self.of(kind).evictions.labels(store.value, cause).inc()

    def on_problem(self, kind: Kind, problem: Problem) -> None:
        """Something went wrong, and no caller noticed."""
        self.of(kind).errors.labels(problem.value).inc()

    def on_breaker(self, *, is_open: bool) -> None:
        """Redis is left alone from now on, or asked again."""
        self._families.breaker_open.set(int(is_open))

    def on_coalesced(self) -> None:
        """A request joined an identical one in flight."""
        self._families.coalesced_requests.inc()

    def begin(self, kind: Kind, store: StoreName) -> None:
        """Let the series of a store begin at zero, so that their first increase shows."""
        entries, name = self.of(kind), store.value
        for outcome in (Lookup.HIT, Lookup.MISS):
            entries.lookups.labels(name, outcome.value)
        entries.lookup_seconds.labels(name)
        entries.stores.labels(name)

    def watch(self, kind: Kind, store: MemoryStore) -> None:
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

    def count(self, kind: Kind, store: StoreName) -> EntryTotals:
        """What became of the entries of one kind in one store."""
        entries, name = self.of(kind), store.value
        return EntryTotals(
            hits=_total(entries.lookups, store=name, outcome=Lookup.HIT.value),
            misses=_total(entries.lookups, store=name, outcome=Lookup.MISS.value),
            failures=_total(entries.lookups, store=name, outcome=Lookup.ERROR.value)
            + _total(entries.lookups, store=name, outcome=Lookup.SKIPPED.value),
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
