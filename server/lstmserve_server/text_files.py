"""Text files that people write: what their editors put into them is taken, or told of."""

from __future__ import annotations

import codecs
import tomllib
from typing import Any

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
TOO_MUCH = "is not valid TOML: a number is too long, or lists are too deep"


def parse_toml(text: str) -> dict[str, Any]:
    """Read a TOML document; raises ValueError saying what is wrong with it."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"is not valid TOML: {error}") from None
    except (ValueError, RecursionError):  # Python's own limits, told in its own words
        raise ValueError(TOO_MUCH) from None


def decode_text(data: bytes) -> str:
    """UTF-8, with or without the mark that some editors begin a file with.

    Raises ValueError saying what is wrong and what to do, and nothing of what stands there.
    """
    if data.startswith(_UTF16):  # as the mark of UTF-32 does
        raise ValueError("is UTF-16 or UTF-32; save it as UTF-8")
    if b"\0" in data:
        raise ValueError("holds NUL bytes, so it is not text, or is UTF-16; save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"is not UTF-8 (line {line}); save it as UTF-8") from None


def without_mark(data: bytes) -> bytes:
    """A file for programs that take ASCII alone; raises ValueError for one that is UTF-16."""
    if data.startswith(_UTF16):
        raise ValueError("is UTF-16; save it as ASCII or UTF-8")
    return data.removeprefix(codecs.BOM_UTF8)
