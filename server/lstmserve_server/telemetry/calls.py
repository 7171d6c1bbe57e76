"""Counts and logs RPCs: the server's answer to ``rpc.observer.CallObserver``."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import structlog
from prometheus_client import Counter, Histogram

from lstmserve_server.engine.output import Finish
from lstmserve_server.telemetry.metrics import Metrics
from lstmserve_server.telemetry.outcomes import OUTCOMES
from lstmserve_server.telemetry.rates import Rate

log = structlog.get_logger()

# errors that refuse a request before any work, by what the metric calls the reason
REJECTIONS = {
    "INVALID_REQUEST": "invalid",
    "MODEL_NOT_FOUND": "not_found",
    "QUEUE_FULL": "queue_full",
    "QUEUE_TOKENS_FULL": "queue_tokens_full",
    "CALLER_SHARE": "caller_share",
    "DEADLINE_INFEASIBLE": "deadline",
    "DRAINING": "unavailable",
    "ENGINE_DEAD": "unavailable",
    "UNAVAILABLE": "unavailable",
    "RESUME_MISMATCH": "resume_mismatch",
}

# where tokens come from that no model made for the call, by what the cache did
SOURCES = {"hit": "cache", "coalesced": "coalesced"}
MODEL_SOURCE = "model"


class CallFacts(Protocol):
    """What is read of a call."""

    rpc: str
    request_id: str
    caller: str
    error: str
    model: str
    version: str
    finish_reason: str
    cache: str
    generated_tokens: int
    saved_seconds: float
    meter: Meter | None  # nobody else's


@dataclass(slots=True)
class Meter:
    """Where the tokens of one call are counted: looked up once, not with every message."""

    tokens: Counter
    rate: Rate
    gaps: Histogram
    is_own_pace: bool  # what is kept, or made for somebody else, comes at none of the model's
    last_at: float | None = None

    def count(self, count: int, now: float) -> None:
        self.tokens.inc(count)
        self.rate.add(count)
        if self.is_own_pace and self.last_at is not None:
            self.gaps.observe((now - self.last_at) / count)
        self.last_at = now


class CallMetrics:
    """Turns what callers do into metrics and one log line per RPC, never the prompt."""

    def __init__(self, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        self._families = metrics.requests
        self._saved_seconds = metrics.cache.saved_seconds
        self._wasted_tokens = metrics.engine.wasted_tokens
        self._clock = clock
        # of no version, so never forgotten; and few, as their labels are closed sets
        self._requests = cache(metrics.requests.requests.labels)
        self._request_seconds = cache(metrics.requests.request_seconds.labels)

    def on_accepted(self, call: CallFacts, prompt_tokens: int) -> None:
        """A request passed every check."""
        self._families.prompt_tokens.labels(call.model, call.version).inc(prompt_tokens)

    def on_tokens(self, call: CallFacts, count: int) -> None:
        """Tokens of a reply go out, from wherever the call says."""
        if call.meter is None:
            call.meter = self._make_meter(call)
        call.meter.count(count, self._clock())

    def on_discarded(self, call: CallFacts, count: int) -> None:
        """Tokens of a reply came from the model, and nobody gets them."""
        if count:
            self._wasted_tokens.labels(call.model, call.version, "cancelled").inc(count)

    def on_finished(self, call: CallFacts, finish: Finish) -> None:
        """A reply is complete."""
        timings, labels = finish.timings, (call.model, call.version)
        self._families.time_to_first_token_seconds.labels(*labels, call.rpc).observe(
            timings.time_to_first_token_seconds, _exemplar(call)
        )
        if call.cache not in SOURCES:  # only the model's own work is queued and reads
            self._families.queue_seconds.labels(*labels).observe(timings.queue_seconds)
            self._families.prefill_seconds.labels(*labels).observe(timings.prefill_seconds)
        self._saved_seconds.inc(call.saved_seconds)

    def on_call_end(self, call: CallFacts, code: str, seconds: float) -> None:
        """An RPC ended with this status code, after so long."""
        outcome = OUTCOMES[code]
        self._requests(call.rpc, code, outcome, call.finish_reason, call.cache).inc()
        self._request_seconds(call.rpc, outcome).observe(seconds, _exemplar(call))
        if call.error in REJECTIONS and not call.generated_tokens:
            self._families.rejected.labels(REJECTIONS[call.error]).inc()
        log.info(
            "rpc",
            rpc=call.rpc,
            code=code,
            request_id=call.request_id,
            caller=call.caller,
            error=call.error,
            model=call.model,
            version=call.version,
            finish_reason=call.finish_reason,
            cache=call.cache,
            tokens=call.generated_tokens,
            seconds=round(seconds, 6),
        )

    def _make_meter(self, call: CallFacts) -> Meter:
        families, labels = self._families, (call.model, call.version)
        source = SOURCES.get(call.cache, MODEL_SOURCE)
        return Meter(
            families.generated_tokens.labels(*labels, source),
            families.tokens_per_second.labels(*labels),
            families.inter_token_seconds.labels(*labels),
            is_own_pace=source == MODEL_SOURCE,
        )


def _exemplar(call: CallFacts) -> dict[str, str]:
    """What leads from a bucket to the log line of one call that fell into it."""
    return {"request_id": call.request_id}
