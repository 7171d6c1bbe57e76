"""Whether RPCs are traced: without an endpoint not even the library is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lstmserve_server.config import TracingConfig
from lstmserve_server.errors import StartupError

if TYPE_CHECKING:
    from lstmserve_server.telemetry.spans import CallTracer


def make_tracer(config: TracingConfig | None) -> CallTracer | None:
    """Who makes the spans; None when nobody wants any. Raises StartupError without the library."""
    if config is None:
        return None
    try:
        from lstmserve_server.telemetry.spans import CallTracer  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise StartupError(
            f"--trace-endpoint: {error.name} is not installed; in a checkout, run: "
            "pip install '.[server,tracing]'"
        ) from None
    return CallTracer(config)
