"""Counts RPCs by how they end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import cache
from itertools import product

from lstmserve_server.rpc.call import Call, CallOutcome
from lstmserve_server.telemetry.metrics import Metrics
from lstmserve_server.telemetry.replies import AllReplySeries, ReplyMetrics, exemplar_of

# how RPCs end, in words that operators alert on; by the names of status codes
OUTCOMES: Mapping[str, str] = {
    "OK": "ok",
    "CANCELLED": "cancelled",  # by the caller
    "DEADLINE_EXCEEDED": "deadline",  # the caller's own
    "UNAVAILABLE": "unavailable",
    "INTERNAL": "error",
    "UNKNOWN": "error",
    "DATA_LOSS": "error",
    **dict.fromkeys(
        (
            "INVALID_ARGUMENT",
            "NOT_FOUND",
            "ALREADY_EXISTS",
            "PERMISSION_DENIED",
            "UNAUTHENTICATED",
            "RESOURCE_EXHAUSTED",
            "FAILED_PRECONDITION",
            "ABORTED",
            "OUT_OF_RANGE",
            "UNIMPLEMENTED",
        ),
        "refused",
    ),
}

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


class CallMetrics:
    """Turns what callers do into metrics."""

    def __init__(self, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        self._metrics = metrics
        self._clock = clock
        self._series = AllReplySeries(metrics)
        self._rejected = metrics.requests.rejected
        # never forgotten, and few: their labels are closed sets
        self._prompt_tokens = cache(metrics.requests.prompt_tokens.labels)
        self._requests = cache(metrics.requests.requests.labels)
        self._request_seconds = cache(metrics.requests.request_seconds.labels)
        self._classifications = cache(metrics.labels.classifications.labels)
        for rpc, code in product(ALERTED_RPCS, ALERTED_CODES):
            self._requests(rpc, code, OUTCOMES[code], "", "")

    def on_accepted(self, call: Call, model: str, version: str, prompt_tokens: int) -> ReplyMetrics:
        """Count a request that passed every check; return what counts its reply."""
        self._prompt_tokens(model, version).inc(prompt_tokens)
        return ReplyMetrics(self._metrics, self._series, self._clock, call, model, version)

    def on_classified(self, model: str, version: str, label: str, probability: float) -> None:
        """Count a label; it is one of those that the version has."""
        self._classifications(model, version, label).inc()
        self._metrics.labels.confidence.labels(model, version).observe(probability)

    def on_call_end(self, call: Call, outcome: CallOutcome) -> None:
        """Count an RPC that has ended, and why it was refused."""
        kind, served = OUTCOMES[outcome.code], outcome.served
        self._requests(call.rpc, outcome.code, kind, served.finish_reason, served.cache).inc()
        self._request_seconds(call.rpc, kind).observe(outcome.seconds, exemplar_of(call))
        if outcome.error in REJECTIONS and not served.generated_tokens:
            self._rejected.labels(REJECTIONS[outcome.error]).inc()
