"""The RPC that is being served: what interceptors and servicers both need to know of it."""

from __future__ import annotations

import math
import re
import secrets
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from lstmserve_server.engine.output import Timings
from lstmserve_server.engine.request import ANONYMOUS
from lstmserve_server.errors import FieldViolation, InvalidRequestError
from lstmserve_server.rpc.identity import NOBODY, Identity

REQUEST_ID_KEY = "x-request-id"
CALLER_ID_KEY = "x-caller-id"
# the context of W3C Trace Context; baggage is not asked for
TRACE_KEYS = ("traceparent", "tracestate")
Metadata = Iterable[tuple[str, str | bytes]]
TraceHeaders = dict[str, list[str]]

_ACCEPTABLE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_TRACE_PARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})(?P<trace_id>[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?"
)


@dataclass(slots=True)
class Transcript:
    """What a caller asked, and the reply so far."""

    prompt: str
    reply: str = ""


@dataclass(slots=True)
class Call:
    """One RPC; the servicer fills in what only it knows."""

    rpc: str  # the method's name
    request_id: str
    service: str = ""
    trace: TraceHeaders = field(default_factory=dict)
    trace_id: str = ""  # 32 hexadecimal digits, where the caller or this server traces
    identity: Identity = NOBODY
    timeout_seconds: float = math.inf  # of this request alone, where its protocol has that
    is_told: bool = False  # its id, to the caller
    error: str = ""  # the reason in the ErrorInfo of the error that ended it
    model: str = ""
    version: str = ""
    finish_reason: str = ""
    cache: str = ""
    lookup_seconds: float = 0.0  # in the cache, before the model was asked
    prompt_tokens: int = 0
    generated_tokens: int = 0
    timings: Timings | None = None  # of a complete reply
    transcript: Transcript | None = None  # where prompts and replies are logged
    saved_seconds: float = 0.0  # of the model's work, by the cache
    meter: Any = None  # what whoever counts its tokens keeps of it

    @property
    def method(self) -> str:
        """``service/method``."""
        return f"{self.service}/{self.rpc}"

    @property
    def caller(self) -> str:
        """Who calls, as logs and traces tell, and as turns are shared out."""
        return self.identity.name


current_call: ContextVar[Call] = ContextVar("current_call")


def choose_request_id(metadata: Metadata) -> str:
    """Return the caller's own id if it sent an acceptable one, else a new one."""
    for key, value in metadata:
        if key == REQUEST_ID_KEY and isinstance(value, str) and _ACCEPTABLE_ID.fullmatch(value):
            return value
    return secrets.token_hex(16)


def read_caller(metadata: Metadata) -> str:
    """Return who the caller says it is. Raises InvalidRequestError for an unacceptable id."""
    for key, value in metadata:
        if key == CALLER_ID_KEY:
            if isinstance(value, str) and _ACCEPTABLE_ID.fullmatch(value):
                return value
            wanted = "must have 1 to 64 letters, digits, '.', '_' or '-'"
            raise InvalidRequestError([FieldViolation(CALLER_ID_KEY, wanted)])
    return ANONYMOUS


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
