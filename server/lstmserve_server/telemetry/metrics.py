"""Every metric of the server, in one place. Nothing here registers itself globally.

Labels have closed sets of values: what a caller sends stands in none of them unless it names
a model that is served.
"""

from __future__ import annotations

import math

from prometheus_client import CollectorRegistry

from lstmserve_server.telemetry.makers import LOAD_SECONDS, MODEL, ROWS, SHARES, Makers

MODEL_STATES = ("loading", "ready", "unloading", "unloaded", "failed")


class EntryFamilies:
    """What becomes of cached entries of one kind; the parts of a cache."""

    def __init__(self, prefix: str, what: str, make: Makers) -> None:
        """``what`` they are, for the help texts."""
        self.lookups = make.counter(
            f"{prefix}_lookups", f"Lookups of {what}, by store and outcome.", ("store", "outcome")
        )
        self.lookup_seconds = make.histogram(
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


class CacheFamilies:
    """What is kept of replies and states, and what that brings."""

    def __init__(self, make: Makers) -> None:
        self.replies = EntryFamilies("cache", "cached replies", make)
        self.states = EntryFamilies("state_cache", "cached states", make)
        self.coalesced_requests = make.counter(
            "cache_coalesced_requests", "Requests that joined an identical one in flight.", ()
        )
        self.saved_seconds = make.counter(
            "cache_saved_seconds", "Generating that was not done again.", ()
        )
        self.breaker_open = make.gauge(
            "cache_breaker_open",
            "1 while Redis, or a node of its cluster, is left alone because it failed.",
            (),
        )


class RequestFamilies:
    """What callers asked for and got."""

    def __init__(self, make: Makers) -> None:
        counter, seconds = make.counter, make.histogram
        self.requests = counter(
            "requests", "RPCs ended.", ("rpc", "code", "outcome", "finish_reason", "cache")
        )
        self.request_seconds = seconds("request_seconds", "Whole RPCs.", ("rpc", "outcome"))
        self.rejected = counter("rejected", "Requests refused before any work.", ("reason",))
        self.queue_seconds = seconds("queue_seconds", "Arrival to first work.")
        self.prefill_seconds = seconds("prefill_seconds", "Reading the prompt.")
        self.time_to_first_token_seconds = seconds(
            "time_to_first_token_seconds", "Arrival to first token.", (*MODEL, "rpc")
        )
        self.inter_token_seconds = seconds(
            "inter_token_seconds", "Gaps between a stream's messages, divided by their tokens."
        )
        self.prompt_tokens = counter("prompt_tokens", "Prompt tokens of accepted requests.", MODEL)
        self.generated_tokens = counter(
            "generated_tokens", "Tokens of replies, by where they came from.", (*MODEL, "source")
        )
        self.tokens_per_second = make.rate_gauge(
            "tokens_per_second", "Tokens of replies over the last ten seconds.", MODEL
        )


class EngineFamilies:
    """What the engines do, and how busy they are."""

    def __init__(self, make: Makers) -> None:
        gauge = make.gauge
        self.wasted_tokens = make.counter(
            "wasted_tokens", "Tokens decoded for nobody.", (*MODEL, "reason")
        )
        self.drafted_tokens = make.counter(
            "drafted_tokens", "Tokens guessed ahead of a reply.", (*MODEL, "outcome")
        )
        self.cancel_seconds = make.histogram(
            "cancel_seconds", "A caller's leaving, or its deadline, to the freed row."
        )
        self.restarts = make.counter(
            "engine_restarts",
            "Ends of engine processes, after which another one went on with their replies.",
            (*MODEL, "reason"),
        )
        self.step_seconds = make.histogram("step_seconds", "One decode step over the whole batch.")
        self.batch_rows = make.histogram("batch_rows", "Rows per decode call.", buckets=ROWS)
        self.running_sequences = gauge("running_sequences", "Replies being generated.", MODEL)
        self.waiting_sequences = gauge("waiting_sequences", "Requests waiting for a row.", MODEL)
        self.waiting_tokens = gauge(
            "waiting_tokens", "Prompt tokens and max_tokens of the waiting requests.", MODEL
        )
        self.parked_sequences = gauge(
            "parked_sequences", "Begun replies without a row: slow readers, mostly.", MODEL
        )
        self.max_running_sequences = gauge(
            "max_running_sequences", "Bound of the replies being generated.", MODEL
        )
        self.max_waiting_sequences = gauge(
            "max_waiting_sequences", "Bound of the requests without a row.", MODEL
        )


class ConstraintFamilies:
    """The forms that requests want their replies to keep."""

    def __init__(self, make: Makers) -> None:
        self.constraints = make.counter(
            "constraints",
            "Requests with a constraint, by what became of it: kept, built or refused.",
            ("outcome",),
        )
        self.build_seconds = make.histogram(
            "constraint_build_seconds", "Waiting for a constraint that was not kept.", ()
        )
        self.entries = make.gauge(
            "constraint_entries", "Constraints and refusals that are kept.", ()
        )
        self.bytes = make.gauge("constraint_bytes", "Memory of the constraints that are kept.", ())


class LabelFamilies:
    """What requests are about, where versions can tell, and how sure they are."""

    def __init__(self, make: Makers) -> None:
        self.classifications = make.counter(
            "classifications", "Texts that were classified, by label.", (*MODEL, "label")
        )
        self.confidence = make.histogram(
            "classification_confidence", "Probability of the label.", buckets=SHARES
        )
        self.outcomes = make.counter(
            "reply_outcomes",
            "Complete replies of versions with a classifier: answered, unsure or handover.",
            (*MODEL, "outcome"),
        )


class QualityFamilies:
    """How good replies are, by a sample of the latest ones."""

    def __init__(self, make: Makers) -> None:
        sparse = make.sparse_gauge
        self.log_perplexity = sparse(
            "quality_log_perplexity", "Mean nats of generated tokens, by the model itself.", MODEL
        )
        self.distinct = sparse(
            "quality_distinct", "Distinct n-grams of words over all of them.", (*MODEL, "n")
        )
        self.empty_ratio = sparse("quality_empty_ratio", "Replies without a word.", MODEL)
        self.length_limit_ratio = sparse(
            "quality_length_limit_ratio", "Replies that max_tokens ended.", MODEL
        )
        self.window_tokens = make.gauge(
            "quality_window_tokens", "Tokens that the log-perplexity is the mean of.", MODEL
        )
        self.reference_log_perplexity = make.gauge(
            "reference_log_perplexity", "That of held-out replies, by the model's manifest.", MODEL
        )


class ModelFamilies:
    """Which versions there are, and what becomes of them."""

    def __init__(self, make: Makers) -> None:
        self.info = make.info("model", "Facts of a served model.", MODEL)
        self.bytes = make.gauge("model_bytes", "Size of a model's files.", MODEL)
        self.state_bytes = make.gauge("state_bytes", "Memory of the running states.", MODEL)
        self.inexact = make.gauge(
            "model_inexact", "1 for a version whose replies are not exact, served all the same.",
            MODEL,
        )  # fmt: skip
        self.state = make.lasting_gauge(
            "model_state", "1 for the state that a version is in.", (*MODEL, "state")
        )
        self.traffic_share = make.gauge(
            "model_traffic_share", "Share of requests naming no version that one gets.", MODEL
        )
        self.loads = make.counter("model_loads", "Loads of versions.", (*MODEL, "outcome"))
        self.load_seconds = make.histogram(
            "model_load_seconds", "Loading a version.", ("model",), LOAD_SECONDS
        )

    def set_state(self, model: str, version: str, state: str) -> None:
        """A version is in this one of MODEL_STATES from now on."""
        for other in MODEL_STATES:
            self.state.labels(model, version, other).set(other == state)


class AuthFamilies:
    """Who could not prove who it is, where callers have to."""

    def __init__(self, make: Makers) -> None:
        self.unauthenticated = make.counter(
            "unauthenticated", "Calls of nobody who is known, reflection included.", ("reason",)
        )
        self.file_reads = make.counter(
            "auth_file_reads", "Looks at the callers' file that found it changed or unusable.",
            ("outcome",),
        )  # fmt: skip


class ProcessFamilies:
    """The server itself."""

    def __init__(self, make: Makers) -> None:
        self.info = make.info("server", "Versions of the server.", ())
        self.start_time_seconds = make.gauge(
            "start_time_seconds", "When the server started, in seconds since 1970.", ()
        )
        self.resident_memory_bytes = make.gauge(
            "resident_memory_bytes", "Resident memory now, summed over the server's processes.", ()
        )
        self.peak_memory_bytes = make.gauge(
            "peak_memory_bytes", "Highest resident memory so far, summed in the same way.", ()
        )
        self.log_lines_dropped = make.counter(
            "log_lines_dropped", "Log lines that found the queue full.", ()
        )


class TlsFamilies:
    """The certificate that the gRPC port shows, where it has one."""

    def __init__(self, make: Makers) -> None:
        self.certificate_expiry = make.sparse_gauge(
            "tls_certificate_expiry_timestamp_seconds",
            "When the certificate in force expires, in seconds since 1970.",
            (),
        )
        self.certificate_expiry.set(math.nan)  # until there is one
        self.reload_failures = make.counter(
            "tls_reload_failures", "New certificates that could not be used.", ()
        )


class Metrics:
    """The metrics of one server process, in a registry of its own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._make = Makers(registry)
        self.requests = RequestFamilies(self._make)
        self.engine = EngineFamilies(self._make)
        self.constraints = ConstraintFamilies(self._make)
        self.labels = LabelFamilies(self._make)
        self.quality = QualityFamilies(self._make)
        self.models = ModelFamilies(self._make)
        self.cache = CacheFamilies(self._make)
        self.auth = AuthFamilies(self._make)
        self.process = ProcessFamilies(self._make)
        self.tls = TlsFamilies(self._make)
        self.num_forgotten = 0  # series that were looked up before the last time may be no more

    def forget(self, model: str, version: str) -> None:
        """Drop the series of a version that is gone, but for its counters and its state.

        Totals do not go back, and the state tells that it is gone. Call it when nothing can
        be observed of the version any more: that would begin the series anew.
        """
        self._make.forget(model, version)
        self.num_forgotten += 1


class SupervisorMetrics:
    """What there is to say of several worker processes, beside their own metrics."""

    def __init__(self, registry: CollectorRegistry) -> None:
        make = Makers(registry)
        self.process = ProcessFamilies(make)
        self.workers = make.gauge("workers", "Workers that serve now.", ())
        self.restarts = make.counter("worker_restarts", "Workers started again.", ())
