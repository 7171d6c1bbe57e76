"""The RPC that is being served: what interceptors and servicers both need to know of it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from lstmserve_server.engine.claim import ANONYMOUS
from lstmserve_server.errors import FieldViolation, InvalidRequestError

REQUEST_ID_KEY = "x-request-id"
CALLER_ID_KEY = "x-caller-id"
Metadata = Iterable[tuple[str, str | bytes]]

_ACCEPTABLE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(slots=True)
class Call:
    """One RPC; the servicer fills in what only it knows."""

    rpc: str
    request_id: str
    caller: str = ANONYMOUS
    error: str = ""  # the reason in the ErrorInfo of the error that ended it
    model: str = ""
    version: str = ""
    finish_reason: str = ""
    cache: str = ""
    generated_tokens: int = 0
    saved_seconds: float = 0.0  # of the model's work, by the cache
    meter: Any = None  # what whoever counts its tokens keeps of it


current_call: ContextVar[Call] = ContextVar("current_call")


def choose_request_id(metadata: Metadata) -> str:
    """The caller's own id if it sent an acceptable one, else a new one."""
    for key, value in metadata:
        if key == REQUEST_ID_KEY and isinstance(value, str) and _ACCEPTABLE_ID.fullmatch(value):
            return value
    return secrets.token_hex(16)


def read_caller(metadata: Metadata) -> str:
    """Who calls, by its own word; raises InvalidRequestError when that is no acceptable id."""
    for key, value in metadata:
        if key == CALLER_ID_KEY:
            if isinstance(value, str) and _ACCEPTABLE_ID.fullmatch(value):
                return value
            wanted = "must have 1 to 64 letters, digits, '.', '_' or '-'"
            raise InvalidRequestError([FieldViolation(CALLER_ID_KEY, wanted)])
    return ANONYMOUS
