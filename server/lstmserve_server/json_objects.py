"""JSON objects that strangers send, read strictly: what is wrong is told in words of ours."""

from __future__ import annotations

import json
from typing import Any, NoReturn

MAX_SHOWN = 500  # characters of an error, which may repeat what was sent
MAX_SHOWN_NAME = 64


class _UnfitError(ValueError):
    """Says what is wrong in words of ours."""


def read_object(body: bytes) -> dict[str, Any]:
    """Return a JSON object that names nothing twice, and holds Unicode text and finite numbers.

    Raises ValueError, which says what is wrong.
    """
    try:
        document = json.loads(body, object_pairs_hook=_to_object, parse_constant=_refuse_constant)
    except _UnfitError:
        raise
    except json.JSONDecodeError as error:
        raise ValueError(f"the body is not valid JSON: {error}") from None
    except UnicodeDecodeError:
        raise ValueError("the body must be JSON in valid utf-8") from None
    except (ValueError, RecursionError):
        raise ValueError("the body's JSON has numbers too long, or lists too deep") from None
    if not isinstance(document, dict):
        raise ValueError("the body must be a JSON object")  # noqa: TRY004 - one for all
    if (place := _find_half_pair(document)) is not None:
        raise ValueError(f"{place[:MAX_SHOWN]}: must be valid Unicode text")
    return document


def _to_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        shown = name[:MAX_SHOWN_NAME].encode(errors="replace").decode()
        if name in found:
            raise _UnfitError(f"{shown}: must appear once")
        if _has_half_pair(name):
            raise _UnfitError(f"{shown}: a name must be valid Unicode text")
        found[name] = value
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise _UnfitError(f"the body is not valid JSON: {name} is no number of JSON")


def _find_half_pair(document: object) -> str | None:
    """Return where a text stands that is no Unicode: JSON may hold half of a surrogate pair."""
    found: list[tuple[str, object]] = [("", document)]
    while found:
        place, value = found.pop()
        if isinstance(value, dict):
            found += ((f"{place}.{name}" if place else name, each) for name, each in value.items())
        elif isinstance(value, list):
            found += ((f"{place}[{number}]", each) for number, each in enumerate(value))
        elif isinstance(value, str) and _has_half_pair(value):
            return place
    return None


def _has_half_pair(text: str) -> bool:
    return any("\ud800" <= letter <= "\udfff" for letter in text)
