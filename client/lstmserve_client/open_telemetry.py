"""A client's calls as metrics of OpenTelemetry, by its conventions for generative AI.

    pip install '.[metrics]'        # opentelemetry-api; the application brings SDK and exporter
    Client(on_call_end=OpenTelemetryMetrics())

Names, units and attributes are those of the semantic conventions for clients of generative AI
(https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/, in development); what they
have no name for begins with ``lstmserve``.
"""

import re

from opentelemetry.metrics import MeterProvider, get_meter
from opentelemetry.util.types import AttributeValue

from lstmserve_client.records import CallRecord

# by the conventions text completion is what takes a prompt; classifying has no name there
_OPERATIONS = {
    "Generate": "text_completion",
    "GenerateReply": "text_completion",
    "Classify": "classify",
}
# the conventions' boundaries begin at 10 ms for calls and at 1 ms for first chunks
_SECONDS = (
    *(0.00125, 0.0025, 0.005),
    *(0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92),
)
_FIRST_CHUNK_SECONDS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08),
    *(0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
)
_TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536)
_ADDRESS = re.compile(r"(?:(?:dns|ipv4|ipv6):(?://[^/]*/)?)?(?P<host>[^/]+):(?P<port>\d+)")

Attributes = dict[str, AttributeValue]


class OpenTelemetryMetrics:
    """Counts replies and classifications of any number of clients; give it as ``on_call_end``.

    - ``gen_ai.client.operation.duration``, ``gen_ai.client.operation.time_to_first_chunk``: s
    - ``gen_ai.client.token.usage``: tokens of prompts and of replies, those kept in a cache, too
    - ``lstmserve.client.retries``: attempts after the first one
    """

    def __init__(self, meter_provider: MeterProvider | None = None) -> None:
        """Without a provider, metrics go to the process's own."""
        meter = get_meter("lstmserve_client", meter_provider=meter_provider)
        self._duration = meter.create_histogram(
            "gen_ai.client.operation.duration",
            unit="s",
            description="How long calls took, all attempts included.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self._first_chunk = meter.create_histogram(
            "gen_ai.client.operation.time_to_first_chunk",
            unit="s",
            description="How long streamed replies took to their first chunk.",
            explicit_bucket_boundaries_advisory=_FIRST_CHUNK_SECONDS,
        )
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            unit="{token}",
            description="Tokens of prompts (input) and of whole replies (output).",
            explicit_bucket_boundaries_advisory=_TOKENS,
        )
        self._retries = meter.create_counter(
            "lstmserve.client.retries",
            unit="{attempt}",
            description="Attempts after the first one of a call.",
        )

    def __call__(self, record: CallRecord) -> None:
        """Count one call that has ended; what is neither reply nor classification is left out."""
        if record.method not in _OPERATIONS:
            return
        attributes = _attributes(record)
        self._duration.record(record.duration_seconds, {**attributes, **_error(record)})
        if record.first_chunk_seconds is not None:
            self._first_chunk.record(record.first_chunk_seconds, attributes)
        if record.completion is not None:
            prompt_tokens = record.completion.usage.prompt_tokens
            input_, output = {"gen_ai.token.type": "input"}, {"gen_ai.token.type": "output"}
            self._tokens.record(prompt_tokens, {**attributes, **input_})
            self._tokens.record(record.generated_tokens, {**attributes, **output})
        if record.num_attempts > 1:
            self._retries.add(record.num_attempts - 1, attributes)


def _attributes(record: CallRecord) -> Attributes:
    found: Attributes = {
        "gen_ai.operation.name": _OPERATIONS[record.method],
        "gen_ai.provider.name": "lstmserve",
    }
    if record.started is not None:
        found["gen_ai.response.model"] = record.started.model
        found["lstmserve.model.version"] = record.started.model_version
    if parts := _ADDRESS.fullmatch(record.target):
        found["server.address"] = parts["host"].strip("[]")
        found["server.port"] = int(parts["port"])
    elif record.target:
        found["server.address"] = record.target
    return found


def _error(record: CallRecord) -> Attributes:
    """How it failed, in few words: the class that callers catch."""
    if record.was_canceled:
        return {"error.type": "canceled"}
    return {"error.type": type(record.error).__name__} if record.error else {}
