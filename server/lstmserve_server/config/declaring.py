"""How a field of a configuration object says that it is an option, and what it allows."""

from __future__ import annotations

from typing import Any


def option(
    description: str,
    *,
    name: str = "",
    ge: float | None = None,
    le: float | None = None,
    pattern: str | None = None,
    is_secret: bool = False,
) -> dict[str, Any]:
    """Return the metadata of a field that is an option, for ``dataclasses.field``.

    ``name`` is the option's, if the field has another; ``ge`` and ``le`` are the least and the
    greatest value, ``pattern`` is what the whole text must match (pydantic reads all three). What
    is given for a secret option is not repeated in errors, as it may hold a password.
    """
    allowed = {"ge": ge, "le": le, "pattern": pattern}
    return {
        "is_option": True,
        "name": name,
        "description": description,
        "is_secret": is_secret,
        **{key: value for key, value in allowed.items() if value is not None},
    }
