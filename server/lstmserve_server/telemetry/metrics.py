"""Every metric of the server, in one place. Nothing here registers itself globally."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
)

if TYPE_CHECKING:  # the supervisor of several workers needs no engine, which brings torch
    from lstmserve_server.engine.engine import EngineLoad
    from lstmserve_server.engine.output import Timings

PREFIX = "lstmserve"
MODEL = ("model", "version")

# from 0.1 ms: a service that answers in milliseconds is invisible in the usual buckets
SECONDS_BUCKETS = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
ROWS_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Makers:
    """Makes metrics of one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def counter(self, name: str, text: str, labels: tuple[str, ...]) -> Counter:
        return Counter(name, text, labels, namespace=PREFIX, registry=self._registry)

    def gauge(self, name: str, text: str, labels: tuple[str, ...]) -> Gauge:
        return Gauge(name, text, labels, namespace=PREFIX, registry=self._registry)

    def seconds(self, name: str, text: str, labels: tuple[str, ...] = MODEL) -> Histogram:
        return Histogram(
            name, text, labels, namespace=PREFIX, registry=self._registry, buckets=SECONDS_BUCKETS
        )


class EntryMetrics:
    """What becomes of cached entries of one kind; the parts of a cache."""

    def __init__(self, prefix: str, what: str, make: Makers) -> None:
        """``what`` they are, for the help texts."""
        self.lookups = make.counter(
            f"{prefix}_lookups", f"Lookups of {what}, by store and outcome.", ("store", "outcome")
        )
        self.lookup_seconds = make.seconds(
            f"{prefix}_lookup_seconds", f"Lookups of {what}.", ("store",)
        )
        self.stores = make.counter(f"{prefix}_stores", f"Writes of {what}.", ("store",))
        self.evictions = make.counter(
            f"{prefix}_evictions", f"What became of {what}: size, expired or purged.",
            ("store", "cause"),
        )  # fmt: skip
        self.errors = make.counter(
            f"{prefix}_errors", f"What went wrong with {what}, unseen by callers.", ("kind",)
        )
        self.bytes = make.gauge(f"{prefix}_bytes", f"Memory of {what}.", ("store",))
        self.max_bytes = make.gauge(f"{prefix}_max_bytes", f"Bound of {what}.", ("store",))
        self.entries = make.gauge(f"{prefix}_entries", f"Number of {what}.", ("store",))


class Metrics:
    """The metrics of one server, in a registry of its own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        make = Makers(registry)
        counter, gauge, seconds = make.counter, make.gauge, make.seconds
        self.requests = counter(
            "requests", "RPCs ended.", ("rpc", "code", "finish_reason", "cache")
        )
        self.request_seconds = seconds("request_seconds", "Whole RPCs.", ("rpc",))
        self.queue_seconds = seconds("queue_seconds", "Arrival to first work.")
        self.prefill_seconds = seconds("prefill_seconds", "Reading the prompt.")
        self.time_to_first_token_seconds = seconds(
            "time_to_first_token_seconds", "Arrival to first token."
        )
        self.prompt_tokens = counter("prompt_tokens", "Prompt tokens of accepted requests.", MODEL)
        self.generated_tokens = counter(
            "generated_tokens", "Tokens of replies, by where they came from.", (*MODEL, "source")
        )
        self.wasted_tokens = counter(
            "wasted_tokens", "Tokens decoded for nobody.", (*MODEL, "reason")
        )
        self.rejected = counter("rejected", "Requests refused before any work.", ("reason",))
        self.cancel_seconds = seconds(
            "cancel_seconds", "A caller's leaving, or its deadline, to the freed row."
        )
        self.running_sequences = gauge("running_sequences", "Replies being generated.", MODEL)
        self.waiting_sequences = gauge("waiting_sequences", "Requests waiting for a row.", MODEL)
        self.waiting_tokens = gauge(
            "waiting_tokens", "Prompt tokens and max_tokens of the waiting requests.", MODEL
        )
        self.parked_sequences = gauge(
            "parked_sequences", "Begun replies without a row: slow readers, mostly.", MODEL
        )
        self.step_seconds = seconds("step_seconds", "One decode step over the whole batch.")
        self.batch_rows = Histogram(
            "batch_rows", "Rows per decode call.", MODEL, namespace=PREFIX, registry=registry,
            buckets=ROWS_BUCKETS,
        )  # fmt: skip
        self.replies = EntryMetrics("cache", "cached replies", make)
        self.states = EntryMetrics("state_cache", "cached states", make)
        self.coalesced_requests = counter(
            "cache_coalesced_requests", "Requests that joined an identical one in flight.", ()
        )
        self.saved_seconds = counter(
            "cache_saved_seconds", "Generating that was not done again.", ()
        )
        self.breaker_open = gauge(
            "cache_breaker_open", "1 while Redis is left alone because it failed.", ()
        )
        self.resident_memory_bytes = gauge(
            "resident_memory_bytes", "Resident memory now, summed over the server's processes.", ()
        )
        self.peak_memory_bytes = gauge(
            "peak_memory_bytes", "Highest resident memory so far, summed in the same way.", ()
        )
        self.model_bytes = gauge("model_bytes", "Size of a model's files.", MODEL)
        self.state_bytes = gauge("state_bytes", "Memory of the running states.", MODEL)
        self.model_info = Info(
            "model", "Facts of a served model.", MODEL, namespace=PREFIX, registry=registry
        )

    def observe_timings(
        self, model: str, version: str, timings: Timings, *, is_own_work: bool
    ) -> None:
        """Record where one reply's time went; only the model's own work is queued and reads."""
        self.time_to_first_token_seconds.labels(model, version).observe(
            timings.time_to_first_token_seconds
        )
        if is_own_work:
            self.queue_seconds.labels(model, version).observe(timings.queue_seconds)
            self.prefill_seconds.labels(model, version).observe(timings.prefill_seconds)

    def watch_load(self, model: str, version: str, load: Callable[[], EngineLoad]) -> None:
        """Read how busy an engine is at every scrape."""
        self.running_sequences.labels(model, version).set_function(lambda: load().running)
        self.waiting_sequences.labels(model, version).set_function(lambda: load().waiting)
        self.waiting_tokens.labels(model, version).set_function(lambda: load().waiting_tokens)
        self.parked_sequences.labels(model, version).set_function(lambda: load().parked)


class EngineMetrics:
    """Records what one model's engine does; called on the engine's thread."""

    def __init__(self, metrics: Metrics, model: str, version: str) -> None:
        self._labels = (model, version)
        self._wasted_tokens = metrics.wasted_tokens
        self._step_seconds = metrics.step_seconds.labels(model, version)
        self._batch_rows = metrics.batch_rows.labels(model, version)
        self._cancel_seconds = metrics.cancel_seconds.labels(model, version)

    def on_decode(self, rows: int, steps: int, seconds: float) -> None:
        """A decode call over this many rows and steps took so long."""
        self._batch_rows.observe(rows)
        self._step_seconds.observe(seconds / steps)

    def on_wasted(self, tokens: int, reason: str) -> None:
        """Tokens were decoded for nobody."""
        if tokens:
            self._wasted_tokens.labels(*self._labels, reason).inc(tokens)

    def on_cancelled(self, seconds: float) -> None:
        """A reply is gone, so long after its caller left or its deadline passed."""
        self._cancel_seconds.observe(seconds)
