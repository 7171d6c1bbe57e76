"""Values of parameters, whatever they travelled as: each reader raises ValueError saying what
is allowed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from lstmserve_server.rpc.validation import MAX_BIASED_TOKENS

# what JSON, a tensor or an InferParameter gives
Value = bool | int | float | str | list[Any] | dict[str, Any] | None

MAX_SHOWN = 64  # characters of a value in an error
MAX_DIGITS = 40  # of a whole number
MAX_UINT32 = 2**32 - 1
MAX_UINT64 = 2**64 - 1

# as the client of Triton's vLLM backend sends them
_NUMBER = re.compile(r"-?\d{1,40}(\.\d{1,40})?([eE][+-]?\d{1,4})?")
_WHOLE = re.compile(r"-?\d{1,40}")


def to_number(value: Value) -> float:
    """A number, or its text."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"must be a number, not {_show(value)}")  # noqa: TRY004 - one for all
    return float(value)


def to_whole(high: int) -> Callable[[Value], int]:
    """A reader of whole numbers from 0, or their texts."""

    def read(value: Value) -> int:
        if isinstance(value, str) and _WHOLE.fullmatch(value):
            value = int(value)
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        if not is_whole or not 0 <= value <= high:  # type: ignore[operator]
            raise ValueError(f"must be a whole number from 0 to {high}, not {_show(value)}")
        return value  # type: ignore[return-value]

    return read


def to_flag(value: Value) -> bool:
    """Yes or no."""
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, not {_show(value)}")  # noqa: TRY004 - one for all
    return value


def to_texts(value: Value) -> list[str]:
    """One text, or a list of them."""
    return [_to_text(text) for text in (value if isinstance(value, list) else [value])]


def to_biases(value: Value) -> dict[int, float]:
    """An object from token ids to what is added to their logits."""
    if not isinstance(value, dict) or len(value) > MAX_BIASED_TOKENS:
        raise ValueError(f"must be an object of at most {MAX_BIASED_TOKENS} token ids")
    to_id = to_whole(MAX_UINT32)
    biases = {to_id(token_id): to_number(bias) for token_id, bias in value.items()}
    if len(biases) != len(value):
        raise ValueError("must name each token id once")
    return biases


def one_of(choices: Mapping[Any, int]) -> Callable[[Value], int]:
    """A reader of words, or numbers, that stand for members of an enum."""

    def read(value: Value) -> int:
        known = isinstance(value, str | int) and not isinstance(value, bool) and value in choices
        if not known:
            raise ValueError(f"must be one of {', '.join(map(str, choices))}, not {_show(value)}")
        return choices[value]

    return read


def read_object(text: str) -> dict[str, Value]:
    """A JSON object that names nothing twice."""
    try:
        found = json.loads(text, object_pairs_hook=_to_object, parse_int=_to_int)
    except RecursionError:
        raise ValueError("must not be nested so deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"must be a JSON object: {error}") from None
    if not isinstance(found, dict):
        raise ValueError("must be a JSON object")  # noqa: TRY004 - one for all
    return found


def _to_int(digits: str) -> float:
    """Python reads no numbers of thousands of digits; none that has so many is allowed anyway."""
    return int(digits) if len(digits) <= MAX_DIGITS else float(digits)


def _to_object(pairs: list[tuple[str, Value]]) -> dict[str, Value]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("must name each parameter once")
    return found


def _to_text(value: Value) -> str:
    if not isinstance(value, str):
        raise ValueError(f"must be a text or a list of texts, not {_show(value)}")  # noqa: TRY004 - one for all
    try:
        value.encode()
    except UnicodeEncodeError:  # JSON may hold half of a surrogate pair
        raise ValueError("must be valid Unicode text") from None
    return value


def _show(value: Value) -> str:
    shown = json.dumps(value)
    return shown if len(shown) <= MAX_SHOWN else f"{shown[:MAX_SHOWN]}…"
