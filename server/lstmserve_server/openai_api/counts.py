"""Whole numbers whose bounds a model has, not the wire.

One that the wire cannot hold goes on as one that no model allows. So the server that knows the
bounds refuses it, and what it says is told of the number that was sent.
"""

from __future__ import annotations

import json
import re
from typing import Any

from lstmserve_server.rpc.open_inference.values import MAX_DIGITS, MAX_SHOWN, MAX_UINT32

# parameters by name
COUNTS = ("max_tokens", "min_tokens", "top_k", "logprobs", "prompt_characters")
BEYOND = MAX_UINT32
_TEXT = re.compile(rf"-?\d{{1,{MAX_DIGITS}}}", re.ASCII)


def to_count(value: Any) -> int:  # noqa: ANN401 - any JSON
    """Return a whole number, or that of a text. Raises ValueError."""
    if isinstance(value, str) and _TEXT.fullmatch(value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"must be a whole number, not {_shorten(json.dumps(value))}")  # noqa: TRY004 - one for all
    return value


def to_wire(count: int) -> int:
    """Return what goes on in its place."""
    return count if 0 <= count < BEYOND else BEYOND


def tell_of(count: int, description: str) -> str:
    """Return what is said of a number, with the one that was sent."""
    return description.replace(f"not {BEYOND}", f"not {_shorten(str(count))}")


def _shorten(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
