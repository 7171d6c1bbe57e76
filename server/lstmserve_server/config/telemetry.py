"""What is logged and traced."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import AfterValidator

from lstmserve_server.config.address import ADDRESS
from lstmserve_server.config.declaring import option


def _check_endpoint(url: str) -> str:
    scheme, _, address = url.partition("://")
    if url and (scheme not in {"http", "https"} or not ADDRESS.fullmatch(address.rstrip("/"))):
        raise ValueError(
            "must be http://HOST:PORT or https://HOST:PORT; what a collector wants to be told "
            "besides goes into OTEL_EXPORTER_OTLP_HEADERS"
        )
    return url


@dataclass(frozen=True, slots=True)
class TracingConfig:
    """Where OpenTelemetry traces of RPCs go, and of how many."""

    endpoint: Annotated[str, AfterValidator(_check_endpoint)] = option(
        "",
        "OpenTelemetry collector, http://HOST:PORT or https://HOST:PORT (OTLP over gRPC). "
        "Empty: no traces.",
        name="trace_endpoint",
        is_secret=True,
    )
    ratio: float = option(
        1.0,
        "Share of calls to trace, of those whose callers do not decide.",
        name="trace_ratio",
        ge=0,
        le=1,
    )


@dataclass(frozen=True, slots=True)
class TelemetryConfig:
    """What is told of the process and of calls, besides metrics."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = option(
        "INFO", "The least severe level that is logged; it can be changed while the server runs."
    )
    log_format: Literal["auto", "console", "json"] = option(
        "auto", "auto: readable on a terminal, JSON elsewhere."
    )
    log_prompts: Literal["off", "redacted"] = option(
        "off",
        "redacted: prompts and replies are logged, shortened, without the addresses, numbers "
        "and secrets that patterns find in them.",
    )
    tracing: TracingConfig | None = field(default=None, metadata={"title": "Traces"})

    @property
    def is_text_logged(self) -> bool:
        """Whether prompts and replies are logged, redacted."""
        return self.log_prompts != "off"
