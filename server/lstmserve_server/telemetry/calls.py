"""Counts RPCs, and the tokens of their replies."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import product

from lstmserve_server.engine.output import Finish
from lstmserve_server.rpc.call import Call
from lstmserve_server.telemetry.metrics import Metrics
from lstmserve_server.telemetry.outcomes import OUTCOMES
from lstmserve_server.telemetry.replies import AllReplySeries, Kind, ReplySeries

# errors that refuse a request before any work, by what the metric calls the reason
REJECTIONS = {
    "INVALID_REQUEST": "invalid",
    "MODEL_NOT_FOUND": "not_found",
    "QUEUE_FULL": "queue_full",
    "QUEUE_TOKENS_FULL": "queue_tokens_full",
    "CALLER_SHARE": "caller_share",
    "DEADLINE_INFEASIBLE": "deadline",
    "DRAINING": "unavailable",
    "MODEL_LOADING": "unavailable",
    "ENGINE_DEAD": "unavailable",
    "UNAVAILABLE": "unavailable",
    "RESUME_MISMATCH": "resume_mismatch",
    "UNAUTHENTICATED": "unauthenticated",
    "PERMISSION_DENIED": "permission_denied",
    "RATE_LIMIT": "rate_limit",
    "CONCURRENCY_LIMIT": "concurrency_limit",
}


# of these the first one must show, and a counter that begins at 1 shows no increase
ALERTED_RPCS = ("Generate", "GenerateReply", "ModelInfer", "ModelStreamInfer")
ALERTED_CODES = ("INTERNAL", "UNAVAILABLE")


@dataclass(slots=True)
class Meter:
    """What is kept of a call whose tokens are counted."""

    series: ReplySeries
    last_at: float | None = None  # the tokens that went out last

    def add_tokens(self, count: int, now: float) -> None:
        self.series.add_tokens(count, None if self.last_at is None else now - self.last_at)
        self.last_at = now


class CallMetrics:
    """Turns what callers do into metrics."""

    def __init__(self, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._series = AllReplySeries(metrics)
        self._rejected = metrics.requests.rejected
        self._saved_seconds = metrics.cache.saved_seconds
        self._wasted_tokens = metrics.engine.wasted_tokens
        # never forgotten, and few: their labels are closed sets
        self._prompt_tokens = cache(metrics.requests.prompt_tokens.labels)
        self._requests = cache(metrics.requests.requests.labels)
        self._request_seconds = cache(metrics.requests.request_seconds.labels)
        for rpc, code in product(ALERTED_RPCS, ALERTED_CODES):
            self._requests(rpc, code, OUTCOMES[code], "", "")

    def on_accepted(self, call: Call, prompt_tokens: int) -> None:
        """A request passed every check."""
        self._prompt_tokens(call.model, call.version).inc(prompt_tokens)

    def on_tokens(self, call: Call, count: int) -> None:
        """Tokens of a reply go out, from wherever the call says."""
        if call.meter is None:
            kind = Kind(call.model, call.version, call.rpc, call.cache)
            call.meter = Meter(self._series.find(kind))
        call.meter.add_tokens(count, self._clock())

    def on_discarded(self, call: Call, count: int) -> None:
        """Tokens of a reply came from the model, and nobody gets them."""
        if count:
            self._wasted_tokens.labels(call.model, call.version, "cancelled").inc(count)

    def on_finished(self, call: Call, finish: Finish) -> None:
        """A reply is complete, its last tokens included."""
        if call.meter is not None:
            call.meter.series.add_timings(finish.timings, _exemplar(call))
        self._saved_seconds.inc(call.saved_seconds)

    def on_call_end(self, call: Call, code: str, seconds: float) -> None:
        """An RPC ended with this status code, after so long."""
        outcome = OUTCOMES[code]
        self._requests(call.rpc, code, outcome, call.finish_reason, call.cache).inc()
        self._request_seconds(call.rpc, outcome).observe(seconds, _exemplar(call))
        if call.error in REJECTIONS and not call.generated_tokens:
            self._rejected.labels(REJECTIONS[call.error]).inc()


def _exemplar(call: Call) -> dict[str, str]:
    """What leads from a bucket to the log line, and the trace, of one call that fell into it."""
    found = {"request_id": call.request_id, "trace_id": call.trace_id}
    return {name: value for name, value in found.items() if value}
