"""How a reply is to look: ``response_format``, and ``stream_options``."""

from __future__ import annotations

import json
from typing import Any

from lstmserve_server.openai_api.fields import MAX_NAME
from lstmserve_server.rpc.open_inference.values import to_flag
from lstmserve_server.rpc.validation import FieldChecks

PLACE, OPTIONS = "response_format", "stream_options"
USAGE, OBFUSCATION = "include_usage", "include_obfuscation"
ANY_OBJECT = '{"type": "object"}'
KEYS = {"text": {"type"}, "json_object": {"type"}, "json_schema": {"type", "json_schema"}}
# of json_schema; a schema is always kept, so ``strict`` changes nothing, nor do its names
SCHEMA_KEYS = {"name", "description", "schema", "strict"}


def read_format(checks: FieldChecks, value: Any) -> str | None:  # noqa: ANN401 - any JSON
    """Return the schema as text; None for any text, and where something is refused by name."""
    kind = value.get("type") if isinstance(value, dict) else None
    if not isinstance(kind, str) or kind not in KEYS:
        checks.refuse(f"{PLACE}.type", f"must be {', '.join(KEYS)}")
        return None
    if not _has_only(checks, PLACE, value, KEYS[kind]):
        return None
    if kind == "json_schema":
        return _read_schema(checks, value.get("json_schema"))
    return ANY_OBJECT if kind == "json_object" else None


def _read_schema(checks: FieldChecks, value: object) -> str | None:
    place = f"{PLACE}.json_schema"
    if not isinstance(value, dict) or not isinstance(value.get("schema"), dict):
        checks.refuse(f"{place}.schema", "must be a JSON schema, which is an object")
        return None
    if not _has_only(checks, place, value, SCHEMA_KEYS):
        return None
    return json.dumps(value["schema"], ensure_ascii=False)


def _has_only(checks: FieldChecks, place: str, value: dict[str, Any], known: set[str]) -> bool:
    unknown = [name for name in value if name not in known]
    for name in unknown:
        checks.refuse(f"{place}.{name[:MAX_NAME]}", "is not served; leave it out")
    return not unknown


def read_stream_options(checks: FieldChecks, value: Any) -> bool:  # noqa: ANN401 - any JSON
    """Return whether a stream is to end with its counts of tokens."""
    if not isinstance(value, dict):
        checks.refuse(OPTIONS, "must be an object")
        return False
    _has_only(checks, OPTIONS, value, {USAGE, OBFUSCATION})
    if _read_flag(checks, value, OBFUSCATION):
        checks.refuse(f"{OPTIONS}.{OBFUSCATION}", "is not served; leave it out")
    return _read_flag(checks, value, USAGE)


def _read_flag(checks: FieldChecks, options: dict[str, Any], name: str) -> bool:
    try:
        return to_flag(options.get(name, False))
    except ValueError as error:
        checks.refuse(f"{OPTIONS}.{name}", str(error))
        return False
