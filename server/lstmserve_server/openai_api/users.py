"""The caller's user, as the id by which callers are told apart."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from lstmserve_server.rpc.metadata import is_caller_id
from lstmserve_server.rpc.open_inference.values import to_text
from lstmserve_server.rpc.validation import FieldChecks

USER, SUCCESSOR = "user", "safety_identifier"  # OpenAI calls it by the second one now
MAX_USER = 512  # characters


def to_user(value: Any) -> str:  # noqa: ANN401 - any JSON
    """Return a text of bounded length. Raises ValueError."""
    text = to_text(value)
    if len(text) > MAX_USER:
        raise ValueError(f"must have at most {MAX_USER} characters, not {len(text)}")
    return text


def read_user(checks: FieldChecks, values: Mapping[str, Any]) -> str:
    """Return the id of whom a request names by either field; empty for nobody."""
    users = [values[name] for name in (USER, SUCCESSOR) if values.get(name)]
    if len(set(users)) > 1:
        checks.refuse(SUCCESSOR, f"must be the same as {USER}; send one of them")
    return _to_caller(users[0]) if users else ""


def _to_caller(user: str) -> str:
    """Return the user where it can be an id; else its SHA-256, so that no log has who it is."""
    return user if is_caller_id(user) else sha256(user.encode()).hexdigest()
