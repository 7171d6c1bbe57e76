"""Counts the tokens of replies; where, is looked up once for a reply and not with every message."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import NamedTuple

from prometheus_client import Counter, Histogram

from lstmserve_server.engine.output import Timings
from lstmserve_server.rpc.call import Call
from lstmserve_server.telemetry.makers import Rate
from lstmserve_server.telemetry.metrics import Metrics, RequestFamilies

# where tokens come from that no model made for the call, by what the cache did
SOURCES: Mapping[str, str] = {
    "hit": "cache",
    "coalesced": "coalesced",
    "answers": "answers",
    "fallback": "fallback",
}


class Kind(NamedTuple):
    """What kind of reply; looked up for each."""

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
        self.outcomes = cache(metrics.labels.outcomes.labels)  # never forgotten, and few
        self._num_forgotten = 0

    def find(self, kind: Kind) -> ReplySeries:
        if self._num_forgotten != self._metrics.num_forgotten:  # some are on no page any more
            self._num_forgotten = self._metrics.num_forgotten
            self._known.clear()
        found = self._known.get(kind)
        if found is None:
            found = self._known[kind] = ReplySeries(self._metrics.requests, kind)
        return found


class ReplyMetrics:
    """Turns what becomes of one reply into metrics."""

    def __init__(
        self,
        metrics: Metrics,
        series: AllReplySeries,
        clock: Callable[[], float],
        call: Call,
        model: str,
        version: str,
    ) -> None:
        self._metrics = metrics
        self._all_series = series
        self._clock = clock
        self._call = call
        self._version = (model, version)
        self._series: ReplySeries | None = None  # known with the first tokens
        self._last_at: float | None = None  # when the latest tokens went out

    def another(self) -> ReplyMetrics:
        """Return what counts a further reply to the same request."""
        return ReplyMetrics(
            self._metrics, self._all_series, self._clock, self._call, *self._version
        )

    def on_tokens(self, count: int, cache: str) -> None:
        """Count tokens that go out, from wherever the cache's outcome says."""
        if self._series is None:
            self._series = self._all_series.find(Kind(*self._version, self._call.rpc, cache))
        now = self._clock()
        self._series.add_tokens(count, None if self._last_at is None else now - self._last_at)
        self._last_at = now

    def on_discarded(self, count: int) -> None:
        """Count tokens that the model made and nobody gets."""
        if count:
            self._metrics.engine.wasted_tokens.labels(*self._version, "cancelled").inc(count)

    def on_finished(self, timings: Timings, saved_seconds: float) -> None:
        """Count a complete reply, its last tokens included."""
        if self._series is not None:
            self._series.add_timings(timings, exemplar_of(self._call))
        self._metrics.cache.saved_seconds.inc(saved_seconds)

    def on_outcome(self, outcome: str) -> None:
        """Count what became of a complete reply to a request that was classified."""
        self._all_series.outcomes(*self._version, outcome).inc()


def exemplar_of(call: Call) -> dict[str, str]:
    """Return what leads from a bucket to the log line and the trace of one call in it."""
    if not call.trace_id:
        return {"request_id": call.request_id}
    return {"request_id": call.request_id, "trace_id": call.trace_id}
