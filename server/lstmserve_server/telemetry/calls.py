"""Counts and logs RPCs: the server's answer to ``rpc.observer.CallObserver``."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import structlog

from lstmserve_server.engine.output import Finish
from lstmserve_server.telemetry.metrics import Metrics
from lstmserve_server.telemetry.outcomes import OUTCOMES

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
    last_tokens_at: float | None  # kept for this module, which sets it


class CallMetrics:
    """Turns what callers do into metrics and one log line per RPC, never the prompt."""

    def __init__(self, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        self._families = metrics.requests
        self._saved_seconds = metrics.cache.saved_seconds
        self._wasted_tokens = metrics.engine.wasted_tokens
        self._clock = clock

    def on_accepted(self, call: CallFacts, prompt_tokens: int) -> None:
        """A request passed every check."""
        self._families.prompt_tokens.labels(call.model, call.version).inc(prompt_tokens)

    def on_tokens(self, call: CallFacts, count: int) -> None:
        """Tokens of a reply go out, from wherever the call says."""
        source, labels = SOURCES.get(call.cache, MODEL_SOURCE), (call.model, call.version)
        self._families.generated_tokens.labels(*labels, source).inc(count)
        self._families.tokens_per_second.labels(*labels).add(count)
        before, call.last_tokens_at = call.last_tokens_at, self._clock()
        # what is kept, or made for somebody else, comes at no pace of the model's
        if before is not None and source == MODEL_SOURCE:
            gap = call.last_tokens_at - before
            self._families.inter_token_seconds.labels(*labels).observe(gap / count)

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
        families, outcome = self._families, OUTCOMES[code]
        families.requests.labels(call.rpc, code, outcome, call.finish_reason, call.cache).inc()
        families.request_seconds.labels(call.rpc, outcome).observe(seconds, _exemplar(call))
        if call.error in REJECTIONS and not call.generated_tokens:
            families.rejected.labels(REJECTIONS[call.error]).inc()
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


def _exemplar(call: CallFacts) -> dict[str, str]:
    """What leads from a bucket to the log line of one call that fell into it."""
    return {"request_id": call.request_id}
