"""Files of configuration: what editors put into them is taken, or told of."""

from __future__ import annotations

import codecs
import tomllib
from typing import Any

from lstmserve_bundle.files import UTF16_MARKS

TOO_MUCH = "is not valid TOML: a number is too long, or lists are too deep"


def parse_toml(text: str) -> dict[str, Any]:
    """Read a TOML document; raises ValueError saying what is wrong with it."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"is not valid TOML: {error}") from None
    except (ValueError, RecursionError):  # Python's own limits, told in its own words
        raise ValueError(TOO_MUCH) from None


def without_mark(data: bytes) -> bytes:
    """A file for programs that take ASCII alone; raises ValueError for one that is UTF-16."""
    if data.startswith(UTF16_MARKS):
        raise ValueError("is UTF-16; save it as ASCII or UTF-8")
    return data.removeprefix(codecs.BOM_UTF8)
