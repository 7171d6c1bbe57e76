"""The RPC that is being served: what interceptors and servicers both need to know of it."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass

REQUEST_ID_KEY = "x-request-id"
_ACCEPTABLE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(slots=True)
class Call:
    """One RPC; the servicer fills in what only it knows."""

    rpc: str
    request_id: str
    model: str = ""
    version: str = ""
    finish_reason: str = ""
    cache: str = ""
    generated_tokens: int = 0


current_call: ContextVar[Call] = ContextVar("current_call")


def choose_request_id(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    """The caller's own id if it sent an acceptable one, else a new one."""
    for key, value in metadata:
        if key == REQUEST_ID_KEY and isinstance(value, str) and _ACCEPTABLE_ID.fullmatch(value):
            return value
    return uuid.uuid4().hex
