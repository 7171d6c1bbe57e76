"""From a JSON schema, or a grammar in Lark's syntax, to the text of what is built."""

from __future__ import annotations

import json
import math
import re
from bisect import bisect
from collections import Counter

from lstmserve_server.engine.constraints.json_schema import prepare_schema
from lstmserve_server.engine.constraints.messages import RefusedFormError

MAX_DIGITS = 64  # of a number, and of what an error tells
# JSON on one line, as most programs write it: a model of words would write blanks for ever
JSON_LAYOUT = {
    "whitespace_flexible": False,
    "item_separator": r",\x20?",
    "key_separator": r":\x20?",
    "lenient": False,
    "coerce_one_of": False,
}
LAYOUT_KEY = "x-guidance"
SCHEMA = re.compile(r"%json\s*")
ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")  # a character of a JSON string
# what a grammar may not ask for: it would be ignored here, would not be text, or depends on tokens
NOT_SERVED = {
    "temperature": re.compile(r"\[[^\]\n]*\btemperature\s*="),
    # a text would keep the grammar or not by the tokens that it came in
    "max_tokens": re.compile(r"\[[^\]\n]*\bmax_tokens\s*="),
    "%llguidance": re.compile(r"^\s*%llguidance\b", re.MULTILINE),
    "special tokens": re.compile(r"<[^<>\s]+>"),
}
# texts, patterns and comments, in which all of that may stand
QUOTED = re.compile(r'"(?:\\.|[^"\\\n])*"' + r"|/(?![/*])(?:\\.|[^/\\\n])+/" + r"|//[^\n]*|#[^\n]*")


def of_json_schema(text: str) -> str:
    """Return the grammar of a JSON schema's values; raises RefusedFormError."""
    try:
        schema = _decoder.decode(text)
        json.dumps(schema, ensure_ascii=False).encode()
    except RecursionError:
        raise RefusedFormError("nests too deep") from None
    except UnicodeEncodeError:
        raise RefusedFormError("has half of a character (a lone surrogate)") from None
    except ValueError as error:
        raise RefusedFormError(f"is no JSON: {error}") from None
    if schema is False:
        raise RefusedFormError("allows no value")
    if schema is True:
        schema = {}
    if not isinstance(schema, dict):
        raise RefusedFormError("must be a JSON object, true or false")
    if LAYOUT_KEY in schema:
        raise RefusedFormError(f"has {LAYOUT_KEY}, which is not served")
    return "start: %json " + json.dumps({**_prepare(schema), LAYOUT_KEY: JSON_LAYOUT})


def _prepare(schema: dict[str, object]) -> dict[str, object]:
    try:
        return prepare_schema(schema)
    except RecursionError:
        raise RefusedFormError("nests too deep") from None


def _to_int(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise RefusedFormError(f"has a number of more than {MAX_DIGITS} characters")
    return int(text)


def _to_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise RefusedFormError(f"has the number {text[:MAX_DIGITS]}, which is not finite")
    return number


def _to_object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        numbers = Counter(name for name, _ in pairs)
        twice = next(name for name, number in numbers.items() if number > 1)
        raise RefusedFormError(f"has {twice[:MAX_DIGITS]!r} twice in one object")
    return found


_decoder = json.JSONDecoder(
    parse_int=_to_int,
    parse_float=_to_float,
    parse_constant=_to_float,
    object_pairs_hook=_to_object,
)


def of_lark(text: str) -> str:
    """Return a grammar in Lark's syntax; raises RefusedFormError for what is not served."""
    if LAYOUT_KEY in ESCAPED.sub(lambda found: chr(int(found[1], 16)), text):
        raise RefusedFormError(f"has {LAYOUT_KEY}, not served here")
    text = _with_prepared_schemas(text)
    bare = QUOTED.sub('""', text)
    for name, pattern in NOT_SERVED.items():
        if pattern.search(bare):
            raise RefusedFormError(f"has {name}, not served here")
    return text


def _with_prepared_schemas(text: str) -> str:
    """Return a grammar whose schemas are what ``of_json_schema`` would make of them."""
    parts, end = [], 0
    for begin in _schema_places(text):
        try:
            schema, behind = _decoder.raw_decode(text, begin)
        except (json.JSONDecodeError, RecursionError):  # of which the library tells where
            continue
        prepared = _prepare(schema) if isinstance(schema, dict) else schema
        if begin >= end and prepared != schema:
            # as many lines as before, because errors tell them
            parts += [text[end:begin], json.dumps(prepared), "\n" * text.count("\n", begin, behind)]
            end = behind
    return "".join([*parts, text[end:]])


def _schema_places(text: str) -> list[int]:
    """Return where schemas begin that do not stand in a text, a pattern or a comment."""
    quoted = [found.span() for found in QUOTED.finditer(text)]
    places = []
    for found in SCHEMA.finditer(text):
        before = bisect(quoted, (found.start(), len(text)))
        if not before or quoted[before - 1][1] <= found.start():
            places.append(found.end())
    return places
