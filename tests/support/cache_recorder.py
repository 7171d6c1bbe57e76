"""A cache observer that remembers."""

from __future__ import annotations

from collections import Counter

from lstmserve_server.cache.entry_key import Kind
from lstmserve_server.cache.observer import Lookup, Problem, StoreName


class CacheRecorder:
    """Counts everything that it is told."""

    def __init__(self) -> None:
        self.lookups: Counter[tuple[Kind, StoreName, Lookup]] = Counter()
        self.stored: Counter[tuple[Kind, StoreName]] = Counter()
        self.evicted: Counter[tuple[Kind, StoreName, str]] = Counter()
        self.problems: Counter[Problem] = Counter()
        self.breaker: list[bool] = []  # whether it is open, at each change
        self.num_coalesced = 0

    def on_lookup(self, kind: Kind, store: StoreName, outcome: Lookup, seconds: float) -> None:
        assert seconds >= 0
        self.lookups[kind, store, outcome] += 1

    def on_stored(self, kind: Kind, store: StoreName) -> None:
        self.stored[kind, store] += 1

    def on_evicted(self, kind: Kind, store: StoreName, cause: str) -> None:
        self.evicted[kind, store, cause] += 1

    def on_problem(self, kind: Kind, problem: Problem) -> None:
        self.problems[problem] += 1

    def on_breaker(self, *, is_open: bool) -> None:
        self.breaker.append(is_open)

    def on_coalesced(self) -> None:
        self.num_coalesced += 1
