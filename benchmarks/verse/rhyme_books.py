"""What books of rhymes say of each character: its tones, and the rhymes of its level readings.

Read here and not by what makes the forms, so that a mistake there is found.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LEVEL, OBLIQUE = "L", "O"
HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
NOTICE = re.compile("作者逝世.*", re.DOTALL)  # of copyright, behind the last rhyme of one book


@dataclass(frozen=True)
class Reading:
    """How one character may be read."""

    tones: set[str] = field(default_factory=set)
    rhymes: set[str] = field(default_factory=set)  # of its level readings


def read_books(paths: Sequence[Path]) -> dict[str, Reading]:
    """Return the readings by character: those of the first book that has it."""
    found: dict[str, Reading] = {}
    for path in paths:
        found = _read(json.loads(path.read_text(encoding="utf-8"))) | found
    return found


def _read(book: dict[str, Any]) -> dict[str, Reading]:
    readings: dict[str, Reading] = {}
    for section, number, text in _groups(book, ""):
        is_level = section[1] == "平"
        for character in HAN.findall(NOTICE.sub("", text)):
            reading = readings.setdefault(character, Reading())
            reading.tones.add(LEVEL if is_level else OBLIQUE)
            reading.rhymes.update([f"{section} {number}"] if is_level else [])
    return readings


def _groups(part: dict[str, Any], name: str) -> Iterator[tuple[str, int, str]]:
    """Yield each group's section, such as 上平, its number there, and its characters."""
    for number, (key, value) in enumerate(part.items(), start=1):
        if isinstance(value, dict):
            yield from _groups(value, key)
        else:
            yield name[:2], number, "".join(value)
