"""Every RPC as an OpenTelemetry span, and what it waited for as spans within.

All of them are made when the RPC has ended, with the times at which things happened, so that
nothing is done for them while a reply is generated. Never the prompt.
"""

from __future__ import annotations

import importlib.metadata
import os
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import grpc
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from lstmserve_server.config import TracingConfig
from lstmserve_server.rpc.call import Call, CallOutcome, Served
from lstmserve_server.telemetry.logging import relay_warnings
from lstmserve_server.telemetry.nearness import is_nearby

EXPORT_SECONDS = 5.0  # the longest that a batch may take, with repetitions
LAST_SPANS_SECONDS = 2.0
# codes that are a server's failure; other errors are the caller's
# https://opentelemetry.io/docs/specs/semconv/rpc/grpc/
FAILURES = frozenset(
    {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
)


class CallTracer:
    """Makes the spans of RPCs; a thread of the library sends them in batches."""

    def __init__(self, config: TracingConfig) -> None:
        relay_warnings("opentelemetry")
        self._exporter = OTLPSpanExporter(
            endpoint=config.endpoint,
            timeout=EXPORT_SECONDS,
            channel_options=_channel_options(config.endpoint),
        )
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(config.ratio)),
            resource=Resource.create(
                {
                    "service.name": "lstmserve",
                    "service.version": importlib.metadata.version("lstmserve"),
                    "process.pid": os.getpid(),  # of several workers, which one
                }
            ),
            shutdown_on_exit=False,  # ``close`` does that, and does not take forever
        )
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("lstmserve")
        self._propagator = TraceContextTextMapPropagator()

    def on_call_end(self, call: Call, outcome: CallOutcome) -> str | None:
        """Make the spans of an RPC; return the id of their trace, unless they are not recorded."""
        now = time.monotonic()
        to_wall_ns = time.time_ns() - round(now * 1e9)
        span = self._tracer.start_span(
            f"{call.service}/{call.rpc}",
            # a context that cannot be read is none
            self._propagator.extract(call.trace, Context()) if call.trace_id else Context(),
            SpanKind.SERVER,
            start_time=to_wall_ns + round((now - outcome.seconds) * 1e9),
        )
        if not span.is_recording():
            return None
        self._add_children(span, outcome.served, to_wall_ns)
        span.set_attributes(_describe(call, outcome))
        if outcome.code in FAILURES:
            span.set_status(StatusCode.ERROR, outcome.error)
        span.end(to_wall_ns + round(now * 1e9))
        return f"{span.get_span_context().trace_id:032x}"

    def close(self) -> None:
        """Send what is left, within reason."""
        # shut, the exporter lets the batches that are left fail at once
        patience = threading.Timer(LAST_SPANS_SECONDS, self._exporter.shutdown)
        patience.start()
        self._provider.shutdown()
        patience.cancel()

    def _add_children(self, parent: Span, served: Served, to_wall_ns: int) -> None:
        context = set_span_in_context(parent, Context())
        for name, began_at, ended_at in _list_stages(served):
            child = self._tracer.start_span(
                name, context, start_time=to_wall_ns + round(began_at * 1e9)
            )
            child.end(to_wall_ns + round(ended_at * 1e9))


def _channel_options(endpoint: str) -> Any:  # noqa: ANN401 - the library wants numbers as text
    """Whether a collector may be asked by the environment's proxy, which has a localhost too."""
    host = urlsplit(endpoint).hostname or ""
    return (("grpc.enable_http_proxy", 0),) if is_nearby(host) else ()


def _list_stages(served: Served) -> Iterator[tuple[str, float, float]]:
    """What a complete reply went through, with the moments of its beginning and end."""
    timings = served.timings
    if timings is None:
        return
    began_at = timings.arrived_at
    if served.cache == "hit":
        yield "cache lookup", began_at, began_at + timings.time_to_first_token_seconds
    if served.cache == "miss":
        yield "cache lookup", began_at - served.lookup_seconds, began_at
    if served.cache in {"miss", "bypass"}:
        for name, seconds in (
            ("queue", timings.queue_seconds),
            ("prefill", timings.prefill_seconds),
            ("decode", timings.decode_seconds),
        ):
            yield name, began_at, began_at + seconds
            began_at += seconds


def _describe(call: Call, outcome: CallOutcome) -> dict[str, str | int]:
    served = outcome.served
    facts: dict[str, str | int] = {
        "request_id": call.request_id,
        "caller": call.caller,
        "error": outcome.error,
        "model": served.model,
        "model_version": served.version,
        "finish_reason": served.finish_reason,
        "cache": served.cache,
        "prompt_tokens": served.prompt_tokens,
        "generated_tokens": served.generated_tokens,
    }
    return {
        "rpc.system": "grpc",
        "rpc.service": call.service,
        "rpc.method": call.rpc,
        "rpc.grpc.status_code": grpc.StatusCode[outcome.code].value[0],
        **{f"lstmserve.{name}": value for name, value in facts.items() if value},
    }
