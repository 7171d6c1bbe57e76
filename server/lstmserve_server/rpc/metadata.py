"""What a call's metadata say: its id, its trace, and who the caller claims to be."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable

from lstmserve_server.auth.tokens import TOKEN
from lstmserve_server.engine.request import ANONYMOUS
from lstmserve_server.errors import FieldViolation, InvalidRequestError

REQUEST_ID_KEY = "x-request-id"
CALLER_ID_KEY = "x-caller-id"
AUTHORIZATION_KEY = "authorization"
# the context of W3C Trace Context; baggage is not asked for
TRACE_KEYS = ("traceparent", "tracestate")
Metadata = Iterable[tuple[str, str | bytes]]
TraceHeaders = dict[str, list[str]]

_ACCEPTABLE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_BEARER = re.compile(rf"[Bb][Ee][Aa][Rr][Ee][Rr] +(?P<token>{TOKEN.pattern})")  # RFC 6750, 9110
_TRACE_PARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})(?P<trace_id>[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?"
)


def choose_request_id(metadata: Metadata) -> str:
    """Return the caller's own id if it sent an acceptable one, else a new one."""
    for key, value in metadata:
        if key == REQUEST_ID_KEY and isinstance(value, str) and _ACCEPTABLE_ID.fullmatch(value):
            return value
    return secrets.token_hex(16)


def is_caller_id(text: str) -> bool:
    """Return whether a text can be what callers are told apart by."""
    return _ACCEPTABLE_ID.fullmatch(text) is not None


def read_caller(metadata: Metadata) -> str:
    """Return who the caller says it is. Raises InvalidRequestError for an unacceptable id."""
    for key, value in metadata:
        if key == CALLER_ID_KEY:
            if isinstance(value, str) and is_caller_id(value):
                return value
            wanted = "must have 1 to 64 letters, digits, '.', '_' or '-'"
            raise InvalidRequestError([FieldViolation(CALLER_ID_KEY, wanted)])
    return ANONYMOUS


def read_authorizations(metadata: Metadata) -> list[str | bytes]:
    """Return all that a call says of the kind; more than one is one too many."""
    return [value for key, value in metadata if key == AUTHORIZATION_KEY]


def parse_bearer(value: str | bytes) -> str | None:
    """Return the token, if that is what it is and if it can be one of ours."""
    found = _BEARER.fullmatch(value) if isinstance(value, str) else None
    return None if found is None else found["token"]


def read_trace(metadata: Metadata) -> TraceHeaders:
    """Return the caller's trace context as it came, right or wrong."""
    found: TraceHeaders = {}
    for key, value in metadata:
        if key in TRACE_KEYS and isinstance(value, str):
            found.setdefault(key, []).append(value)
    return found


def find_trace_id(headers: TraceHeaders) -> str:
    """Return the trace that the caller is in; empty when it tells none that can be read."""
    found = [_TRACE_PARENT.fullmatch(value) for value in headers.get("traceparent", ())]
    return found[0]["trace_id"] if len(found) == 1 and found[0] else ""
