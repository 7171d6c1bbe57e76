"""Writes a recipe as TOML, and tells two of them apart, key by key."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lstmserve_training.recipe.schema import Recipe

Flat = dict[str, Any]


def write_toml(recipe: Recipe) -> str:
    """Every key that is in force, defaults included."""
    document = recipe.model_dump(exclude_none=True)
    sources = document.pop("sources")
    plain = {name: value for name, value in document.items() if not isinstance(value, dict)}
    sections = {name: value for name, value in document.items() if isinstance(value, dict)}
    parts = ["".join(f"{name} = {write_value(value)}\n" for name, value in plain.items())]
    parts += [f"[[sources]]\n{_write_keys(source)}" for source in sources]
    parts += [f"[{name}]\n{_write_keys(value)}" for name, value in sections.items()]
    return "\n".join(parts)


def _write_keys(section: dict[str, Any]) -> str:
    return "".join(f"{name} = {write_value(value)}\n" for name, value in section.items())


def write_value(value: Any) -> str:  # noqa: ANN401 - of TOML
    """A value in one line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {write_value(v)}" for name, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(write_value, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):  # JSON's escapes are among TOML's, but for one character
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)


def flatten(value: Any, prefix: str = "") -> Flat:  # noqa: ANN401 - of a recipe
    """``{"training.epochs": 3, "sources.0.name": …}``."""
    return dict(_walk(value, prefix))


def _walk(value: Any, prefix: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    if isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, list) and any(isinstance(part, dict) for part in value):
        pairs = [(str(at), part) for at, part in enumerate(value)]
    else:
        yield prefix, value
        return
    for name, part in pairs:
        yield from _walk(part, f"{prefix}.{name}" if prefix else name)


def differences(before: Flat, now: Flat) -> list[str]:
    """A line for each key whose value changed, came or went."""
    return [
        f"{name}: {_show(before, name)} -> {_show(now, name)}"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    ]


def _show(flat: Flat, name: str) -> str:
    return write_value(flat[name]) if name in flat and flat[name] is not None else "nothing"
