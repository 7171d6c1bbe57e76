"""Text files that people write: what their editors put into them is taken, or told of."""

from __future__ import annotations

import codecs

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def decode_text(data: bytes) -> str:
    """UTF-8, with or without the mark that some editors begin a file with.

    Raises ValueError saying what is wrong and what to do, and nothing of what stands there.
    """
    if data.startswith(_UTF16):
        raise ValueError("is UTF-16; save it as UTF-8")
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
