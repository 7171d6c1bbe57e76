"""What files must be before anything reads them, and how text is read that people write."""

from __future__ import annotations

import codecs
import errno
import json
import stat
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def size_of(path: Path) -> int:
    """The bytes of a regular file, or of what a link leads to; raises OSError.

    A pipe or a device has no size, and whoever opened it might wait for its end for ever.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return found.st_size


def decode_text(data: bytes) -> str:
    """UTF-8, with or without the mark that some editors begin a file with.

    Raises ValueError saying what is wrong and what to do, and nothing of what stands there.
    """
    if data.startswith(UTF16_MARKS):  # as the mark of UTF-32 does
        raise ValueError("is UTF-16 or UTF-32; save it as UTF-8")
    if b"\0" in data:
        raise ValueError("holds NUL bytes, so it is not text, or is UTF-16; save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"is not UTF-8 (line {line}); save it as UTF-8") from None


def parse_json(text: str) -> Any:  # noqa: ANN401 - of JSON
    """Read a JSON document; raises ValueError saying what is wrong with it."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from None
    except (ValueError, RecursionError):  # Python's own limits, told in its own words
        raise ValueError("not JSON: a number is too long, or lists are too deep") from None
