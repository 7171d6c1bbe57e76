"""How RPCs end, in words that operators alert on; by the names of status codes."""

from __future__ import annotations

from collections.abc import Mapping

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
