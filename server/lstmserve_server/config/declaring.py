"""How a field of a configuration object says that it is an option, and what it allows."""

from __future__ import annotations

from dataclasses import field
from typing import Any, TypeVar

T = TypeVar("T")


def option(
    default: T,
    description: str,
    *,
    name: str = "",
    ge: float | None = None,
    le: float | None = None,
    pattern: str | None = None,
    is_secret: bool = False,
) -> T:
    """Return a field of a dataclass that is an option of the server.

    ``name`` is the option's, if the field has another; ``ge`` and ``le`` are the least and the
    greatest value, ``pattern`` is what the whole text must match (pydantic reads all three). What
    is given for a secret option is not repeated, neither in errors nor in a ``repr``.
    """
    allowed = {"ge": ge, "le": le, "pattern": pattern}
    metadata = {
        **describe(description, name),
        "is_secret": is_secret,
        **{key: value for key, value in allowed.items() if value is not None},
    }
    return field(default=default, repr=not is_secret, metadata=metadata)


def describe(description: str, name: str = "") -> dict[str, Any]:
    """Return the metadata of an option without a default, which the part cannot do without."""
    return {"is_option": True, "name": name, "description": description, "is_secret": False}
