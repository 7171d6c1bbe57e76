"""Counts RPCs: the server's answer to ``rpc.observer.CallObserver``."""

from __future__ import annotations

from typing import Protocol

from lstmserve_server.engine.output import Finish
from lstmserve_server.telemetry.metrics import Metrics

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


class CallFacts(Protocol):
    """What is read of a call."""

    rpc: str
    error: str
    model: str
    version: str
    finish_reason: str
    cache: str
    generated_tokens: int
    saved_seconds: float


class CallMetrics:
    """Turns what callers do into metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def on_accepted(self, call: CallFacts, prompt_tokens: int) -> None:
        """A request passed every check."""
        self._metrics.prompt_tokens.labels(call.model, call.version).inc(prompt_tokens)

    def on_tokens(self, call: CallFacts, count: int) -> None:
        """Tokens of a reply came from wherever the call says."""
        source = SOURCES.get(call.cache, "model")
        self._metrics.generated_tokens.labels(call.model, call.version, source).inc(count)

    def on_finished(self, call: CallFacts, finish: Finish) -> None:
        """A reply is complete."""
        self._metrics.observe_timings(
            call.model, call.version, finish.timings, is_own_work=call.cache not in SOURCES
        )
        self._metrics.saved_seconds.inc(call.saved_seconds)

    def on_call_end(self, call: CallFacts, code: str, seconds: float) -> None:
        """An RPC ended with this status code, after so long."""
        metrics = self._metrics
        metrics.requests.labels(call.rpc, code, call.finish_reason, call.cache).inc()
        metrics.request_seconds.labels(call.rpc).observe(seconds)
        if call.error in REJECTIONS and not call.generated_tokens:
            metrics.rejected.labels(REJECTIONS[call.error]).inc()
