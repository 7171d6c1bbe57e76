"""Values of parameters, whatever they came as: readers raise ValueError with what is allowed."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lstmserve_bundle.forms import MAX_CHOICES
from lstmserve_server.rpc.validation import MAX_BIASED_TOKENS, MAX_STOP_SEQUENCES, MAX_VARIABLES

# what JSON, a tensor or an InferParameter gives
Value = bool | int | float | str | list[Any] | dict[str, Any] | None

MAX_SHOWN = 64  # characters of a value in an error
MAX_DIGITS = 40  # of a whole number
# of a JSON object: a thousand biases have 32 KiB, and nothing that is served is more than two deep
MAX_OBJECT_CHARACTERS = 1 << 16
MAX_OBJECT_DEPTH = 8
MAX_UINT32 = 2**32 - 1
MAX_UINT64 = 2**64 - 1

# as the client of Triton's vLLM backend sends them
_NUMBER = re.compile(r"-?\d{1,40}(\.\d{1,40})?([eE][+-]?\d{1,4})?", re.ASCII)
_WHOLE = re.compile(r"-?\d{1,40}", re.ASCII)


def to_number(value: Value) -> float:
    """Return a finite number, from itself or its text."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"must be a number, not {_show(value)}")  # noqa: TRY004 - one for all
    if not math.isfinite(value):
        raise ValueError(f"must be a finite number, not {_show(value)}")
    return float(value)


def to_whole(high: int) -> Callable[[Value], int]:
    """Return a reader of whole numbers from 0, or their texts."""

    def read(value: Value) -> int:
        if isinstance(value, str) and _WHOLE.fullmatch(value):
            value = int(value)
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        if not is_whole or not 0 <= value <= high:  # type: ignore[operator]
            raise ValueError(f"must be a whole number from 0 to {high}, not {_show(value)}")
        return value  # type: ignore[return-value]

    return read


def to_flag(value: Value) -> bool:
    """Return true or false."""
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, not {_show(value)}")  # noqa: TRY004 - one for all
    return value


def to_texts(value: Value) -> list[str]:
    """Return the texts of one text, or of a list of a few."""
    if isinstance(value, list) and len(value) > MAX_STOP_SEQUENCES:
        raise ValueError(f"at most {MAX_STOP_SEQUENCES} are allowed, not {len(value)}")
    if not isinstance(value, str | list):
        raise ValueError(f"must be a text or a list of texts, not {_show(value)}")  # noqa: TRY004 - one for all
    return [to_text(text) for text in (value if isinstance(value, list) else [value])]


def to_choices(value: Value) -> list[str]:
    """Return the texts of a list, of which a reply is one."""
    if not isinstance(value, list) or len(value) > MAX_CHOICES:
        raise ValueError(f"must be a list of at most {MAX_CHOICES} texts")
    return [to_text(text) for text in value]


def to_biases(value: Value) -> dict[int, float]:
    """Return what is added to the logits of each token id that an object names."""
    if not isinstance(value, dict) or len(value) > MAX_BIASED_TOKENS:
        raise ValueError(f"must be an object of at most {MAX_BIASED_TOKENS} token ids")
    biases = {_to_id(token_id): to_number(bias) for token_id, bias in value.items()}
    if len(biases) != len(value):
        raise ValueError("must name each token id once")
    return biases


def _to_id(value: Value) -> int:
    try:
        return to_whole(MAX_UINT32)(value)
    except ValueError:  # whose bounds are the wire's, and no model's
        raise ValueError(f"must name token ids, such as 17, not {_show(value)}") from None


def to_variables(value: Value) -> dict[str, str]:
    """Return the texts for placeholders that an object names."""
    if not isinstance(value, dict) or len(value) > MAX_VARIABLES:
        raise ValueError(f"must be an object of at most {MAX_VARIABLES} texts")
    return {to_text(name): to_text(text) for name, text in value.items()}


def one_of(choices: Mapping[Any, int]) -> Callable[[Value], int]:
    """Return a reader of words, or numbers, that stand for members of an enum."""

    def read(value: Value) -> int:
        known = isinstance(value, str | int) and not isinstance(value, bool) and value in choices
        if not known:
            raise ValueError(f"must be one of {', '.join(map(str, choices))}, not {_show(value)}")
        return choices[value]

    return read


def read_object(text: str) -> dict[str, Value]:
    """Return a JSON object that names nothing twice, and is neither long nor deep."""
    if len(text) > MAX_OBJECT_CHARACTERS:
        raise ValueError(f"must have at most {MAX_OBJECT_CHARACTERS} characters, not {len(text)}")
    too_deep = f"must be nested at most {MAX_OBJECT_DEPTH} deep"
    try:
        found = json.loads(text, object_pairs_hook=_to_object, parse_int=_to_int)
    except RecursionError:
        raise ValueError(too_deep) from None
    except json.JSONDecodeError as error:
        raise ValueError(f"must be a JSON object: {error}") from None
    if not isinstance(found, dict):
        raise ValueError("must be a JSON object")  # noqa: TRY004 - one for all
    if not _is_within(MAX_OBJECT_DEPTH, found):
        raise ValueError(too_deep)
    return found


def _is_within(depth: int, value: Value) -> bool:
    """Return whether lists and objects are in each other no deeper than that."""
    level: list[Any] = [value]
    for _ in range(depth):
        found = [inner for outer in level for inner in _list_inner(outer)]
        level = [inner for inner in found if isinstance(inner, dict | list)]
    return not level


def _list_inner(value: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


def _to_int(digits: str) -> float:
    """Return an integer: none with thousands of digits is allowed, and Python reads none."""
    return int(digits) if len(digits) <= MAX_DIGITS else float(digits)


def _to_object(pairs: list[tuple[str, Value]]) -> dict[str, Value]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("must name each parameter once")
    return found


def to_text(value: Value) -> str:
    """Return a text."""
    if not isinstance(value, str):
        raise ValueError(f"must be a text, not {_show(value)}")  # noqa: TRY004 - one for all
    try:
        value.encode()
    except UnicodeEncodeError:  # JSON may hold half of a surrogate pair
        raise ValueError("must be valid Unicode text") from None
    return value


def _show(value: Value) -> str:
    if isinstance(value, str):
        value = value[:MAX_SHOWN]
    shown = json.dumps(value)
    return shown if len(shown) <= MAX_SHOWN else f"{shown[:MAX_SHOWN]}…"
