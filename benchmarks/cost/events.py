"""What each thing that is told costs, in CPU time of one thread, and what a scrape does."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median

import structlog
from prometheus_client import CollectorRegistry, disable_created_metrics, generate_latest

from benchmarks.load.findings import Finding
from lstmserve_server.engine.output import FinishReason, Timings
from lstmserve_server.rpc.call import Call, CallOutcome, Served
from lstmserve_server.telemetry.calls import CallMetrics
from lstmserve_server.telemetry.engine import EngineMetrics
from lstmserve_server.telemetry.metrics import Metrics

ROUNDS = 9
NATS = [1.5] * 8
TEXT = "you can cancel an order in your account as long as it has not been sent " * 4
TIMINGS = Timings(0.001, 0.002, 0.03, 0.004, 0.035)
SERVED = Served("support-en", "2", 16, 64, "end_of_text", "miss", timings=TIMINGS)


def time_alone(calls: int) -> list[Finding]:
    """Time each event, so many calls a round, and what a scrape does."""
    milliseconds, size = _measure_page()
    return [
        *(Finding(name, value, "ns") for name, value in _time_events(calls).items()),
        Finding("writing the page", milliseconds, "ms"),
        Finding("the page", size / 1e3, "kB"),
    ]


def _time_events(calls: int) -> dict[str, float]:
    """Nanoseconds of each, the median of several rounds of so many calls."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # as the server does
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    engine, told = EngineMetrics(metrics, "support-en", "2"), CallMetrics(metrics)
    call = Call("Generate", "0123456789abcdef" * 2)
    reply = told.on_accepted(call, "support-en", "2", 16)
    events: dict[str, Callable[[], object]] = {
        "on_decode": lambda: engine.on_decode(64, 8, 0.013),
        "on_wasted": lambda: engine.on_wasted(3, "finished"),
        "on_scored, 8 tokens": lambda: engine.on_scored(NATS),
        "on_measured, 60 words": lambda: engine.on_measured(TEXT, FinishReason.END_OF_TEXT),
        "on_accepted": lambda: told.on_accepted(call, "support-en", "2", 16),
        "on_tokens": lambda: reply.on_tokens(8, "miss"),
        "on_finished": lambda: reply.on_finished(TIMINGS, 0.0),
        "on_call_end": lambda: told.on_call_end(call, CallOutcome("OK", 0.035, served=SERVED)),
    }
    with _quiet():
        return {name: _time(event, calls) for name, event in events.items()}


def _measure_page() -> tuple[float, int]:
    """Milliseconds to write the page of a server that has seen every kind of call, and bytes."""
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    engine, told = EngineMetrics(metrics, "support-en", "2"), CallMetrics(metrics)
    engine.on_scored(NATS * 1024)
    engine.on_decode(64, 8, 0.013)
    with _quiet():
        for rpc in ("Generate", "GenerateReply"):
            for code in ("OK", "CANCELLED", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"):
                call = Call(rpc, "id")
                reply = told.on_accepted(call, "support-en", "2", 16)
                for _ in range(2):
                    reply.on_tokens(8, "miss")
                reply.on_finished(TIMINGS, 0.0)
                told.on_call_end(call, CallOutcome(code, 0.035, served=SERVED))
    nanoseconds = _time(lambda: generate_latest(registry), 10)
    return nanoseconds / 1e6, len(generate_latest(registry))


def _time(event: Callable[[], object], calls: int) -> float:
    spent = []
    for _ in range(ROUNDS):
        began_at = time.thread_time_ns()
        for _ in range(calls):
            event()
        spent.append((time.thread_time_ns() - began_at) / calls)
    return median(spent)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without log lines, which are no part of counting, and without collections."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        structlog.reset_defaults()
