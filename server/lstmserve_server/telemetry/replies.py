"""Where the replies of one version are counted, looked up once and not with every message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client import Counter, Histogram

from lstmserve_server.engine.output import Timings
from lstmserve_server.telemetry.metrics import Metrics, RequestFamilies
from lstmserve_server.telemetry.rates import Rate

# where tokens come from that no model made for the call, by what the cache did
SOURCES: Mapping[str, str] = {"hit": "cache", "coalesced": "coalesced"}


@dataclass(frozen=True, slots=True)
class Kind:
    """What kind of reply."""

    model: str
    version: str
    rpc: str
    cache: str  # what that did


class ReplySeries:
    """Of replies of one kind."""

    def __init__(self, families: RequestFamilies, kind: Kind) -> None:
        version = (kind.model, kind.version)
        self._is_own_work = kind.cache not in SOURCES
        source = SOURCES.get(kind.cache, "model")
        self._tokens: Counter = families.generated_tokens.labels(*version, source)
        self._rate: Rate = families.tokens_per_second.labels(*version)
        self._gaps: Histogram = families.inter_token_seconds.labels(*version)
        self._firsts: Histogram = families.time_to_first_token_seconds.labels(*version, kind.rpc)
        self._queue: Histogram = families.queue_seconds.labels(*version)
        self._prefill: Histogram = families.prefill_seconds.labels(*version)

    def add_tokens(self, count: int, gap_seconds: float | None) -> None:
        """So many tokens, so long after those before them; None for the first."""
        self._tokens.inc(count)
        self._rate.add(count)
        # what is kept, or made for somebody else, comes at no pace of the model's
        if self._is_own_work and gap_seconds is not None:
            self._gaps.observe(gap_seconds / count)

    def add_timings(self, timings: Timings, exemplar: dict[str, str]) -> None:
        """Where a whole reply's time went; only the model's own work is queued and reads."""
        self._firsts.observe(timings.time_to_first_token_seconds, exemplar)
        if self._is_own_work:
            self._queue.observe(timings.queue_seconds)
            self._prefill.observe(timings.prefill_seconds)


class AllReplySeries:
    """Those of every kind."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._known: dict[Kind, ReplySeries] = {}
        self._num_forgotten = 0

    def find(self, kind: Kind) -> ReplySeries:
        if self._num_forgotten != self._metrics.num_forgotten:  # some are on no page any more
            self._num_forgotten = self._metrics.num_forgotten
            self._known.clear()
        found = self._known.get(kind)
        if found is None:
            found = self._known[kind] = ReplySeries(self._metrics.requests, kind)
        return found
