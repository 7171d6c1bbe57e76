"""What became of an RPC, in one word of few: what dashboards, alerts and logs tell apart."""

from __future__ import annotations

# by the name of the gRPC status code; whatever is not here is nobody's fault but the server's
OUTCOMES = {
    "OK": "ok",
    "CANCELLED": "cancelled",
    "DEADLINE_EXCEEDED": "deadline",
    "INVALID_ARGUMENT": "refused",
    "NOT_FOUND": "refused",
    "ALREADY_EXISTS": "refused",
    "PERMISSION_DENIED": "refused",
    "UNAUTHENTICATED": "refused",
    "RESOURCE_EXHAUSTED": "refused",
    "FAILED_PRECONDITION": "refused",
    "ABORTED": "refused",
    "OUT_OF_RANGE": "refused",
    "UNIMPLEMENTED": "refused",
    "UNAVAILABLE": "unavailable",
}
ERROR = "error"


def outcome_of(code: str) -> str:
    """ok, cancelled, deadline, refused, unavailable or error."""
    return OUTCOMES.get(code, ERROR)
