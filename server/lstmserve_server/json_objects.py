"""JSON objects that strangers send, read strictly: what is wrong is told in words of ours."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

MAX_SHOWN = 500  # characters of an error, which may repeat what was sent
MAX_SHOWN_NAME = 64
ESCAPE = "\\u"
_HALF_PAIR = re.compile("[\ud800-\udfff]")


class _UnfitError(ValueError):
    """Says what is wrong in words of ours."""


def read_object(body: bytes) -> dict[str, Any]:
    """Return a JSON object that names nothing twice, and holds Unicode text and JSON's numbers.

    One beyond all bounds, such as 1e999, is infinite: who reads its field can name that. Raises
    ValueError, which says what is wrong.
    """
    try:
        text = body.decode("utf-8-sig")
        document = json.loads(text, object_pairs_hook=_to_object, parse_constant=_refuse_constant)
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
    # half of a surrogate pair comes by an escape alone
    if ESCAPE in text and (place := _find_half_pair(document)) is not None:
        raise ValueError(f"{place[:MAX_SHOWN]}: must be valid Unicode text")
    return document


def _to_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs) and all(map(str.isascii, found)):
        return found  # as nearly all are
    found.clear()
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


def _find_half_pair(document: dict[str, Any]) -> str | None:
    """Return where a text stands that is no Unicode: JSON may hold half of a surrogate pair.

    Keeps the names of what it is in alone: those of all elements may take gigabytes.
    """
    names, open_ = list[str](), [_name_children(document)]
    while open_:
        name, value = next(open_[-1], (None, None))
        if name is None:
            open_.pop()
            del names[-1:]
        elif isinstance(value, dict | list):
            names.append(name)
            open_.append(_name_children(value))
        elif isinstance(value, str) and _has_half_pair(value):
            return "".join((*names, name)).removeprefix(".")
    return None


def _name_children(value: dict[str, Any] | list[Any]) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        return ((f".{name}", each) for name, each in value.items())
    return ((f"[{number}]", each) for number, each in enumerate(value))


def _has_half_pair(text: str) -> bool:
    return not text.isascii() and _HALF_PAIR.search(text) is not None
