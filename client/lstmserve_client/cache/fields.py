"""What the keys of a request in JSON may hold; ranges are the server's to judge."""

import json
from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

from lstmserve_client.types import SamplingParams, StoppingCriteria

Check = Callable[[str, object], Any]
"""Takes a key's path and its value, returns what stands for it, raises ValueError."""

_SHOWN_LETTERS = 40


def check_object(path: str, value: object, members: Mapping[str, Check]) -> dict[str, Any]:
    """An object with some of these keys and no others."""
    if not isinstance(value, dict):
        raise _refused(path, "an object", value)
    prefix = f"{path}." if path else ""
    if unknown := sorted(value.keys() - members.keys()):
        names = ", ".join(f'"{prefix}{name}"' for name in unknown)
        raise ValueError(f"unknown key {names}; known are {', '.join(members)}")
    return {name: members[name](f"{prefix}{name}", each) for name, each in value.items()}


def _text(path: str, value: object) -> str:
    if not isinstance(value, str):
        raise _refused(path, "text", value)
    return value


def _number(path: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _refused(path, "a number", value)
    try:
        return float(value)
    except OverflowError as error:
        raise ValueError(f'"{path}" is too large') from error


def _whole(path: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _refused(path, "a whole number", value)
    return value


def _texts(path: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise _refused(path, "a list", value)
    return tuple(_text(f"{path}[{number}]", each) for number, each in enumerate(value))


def _biases(path: str, value: object) -> dict[int, float]:
    """Keys of JSON objects are text: these are token ids."""
    if not isinstance(value, dict):
        raise _refused(path, "an object", value)
    if not all(key.isascii() and key.isdigit() for key in value):
        raise ValueError(f'"{path}" must have token ids for keys')
    return {int(key): _number(f"{path}.{key}", each) for key, each in value.items()}


def _object(members: Mapping[str, Check]) -> Check:
    return lambda path, value: check_object(path, value, members)


def _refused(path: str, wanted: str, value: object) -> ValueError:
    shown = json.dumps(value, ensure_ascii=False)
    if len(shown) > _SHOWN_LETTERS:
        shown = shown[:_SHOWN_LETTERS] + "…"
    return ValueError(f'"{path}" must be {wanted}, not {shown}')


def _or_null(check: Check) -> Check:
    """A null follows the model's default, whatever holds for the other lines."""
    return lambda path, value: None if value is None else check(path, value)


_CHECKS: Mapping[Any, Check] = {
    float | None: _or_null(_number),
    int | None: _or_null(_whole),
    Mapping[int, float]: _biases,
    tuple[str, ...]: _texts,
}


def _members(kind: type) -> dict[str, Check]:
    """The fields of a dataclass, each to be checked as its type says."""
    return {name: _CHECKS[hint] for name, hint in get_type_hints(kind).items()}


LINE: dict[str, Check] = {
    "prompt": _text,
    "model": _text,
    "model_version": _text,
    "sampling": _object(_members(SamplingParams)),
    "stopping": _object(_members(StoppingCriteria)),
}
