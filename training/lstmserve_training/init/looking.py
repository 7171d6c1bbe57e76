"""A look at a user's file: its form, encoding, columns, letters and size."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from statistics import median

from lstmserve_training.data.files import WIDE_MARKS, check_bytes, open_binary, open_text
from lstmserve_training.data.tables import Row, format_of, read_rows
from lstmserve_training.data.texts import read_text
from lstmserve_training.errors import DataError
from lstmserve_training.init.columns import choose_columns
from lstmserve_training.recipe.sections import Kind, Source

LOOKED_AT = 20_000  # rows
DELIMITERS = (",", ";", "\t", "|")
MIN_POEMS, SHORT_LINE = 10, 50


@dataclass
class Look:
    """What was seen in a file."""

    form: str
    rows: int = 0
    characters: int = 0
    columns: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    separator: str = ""
    letters: Counter[str] = field(default_factory=Counter)


def look_at(kind: Kind, path: Path, file: str) -> tuple[Source, Look]:
    """How a file is to be read, and what is in it; ``file`` is its name in the recipe."""
    look = Look(format_of(path, "auto"))
    name = path.name.removesuffix(".gz").rpartition(".")[0]
    source = Source.model_validate({"name": name, "files": [file], **sniff(path, look)})
    _look(kind, path, source, look)
    return source, look


def sniff(path: Path, look: Look) -> dict[str, str]:
    """Encoding and delimiter, where they are not the usual ones."""
    if look.form == "parquet":
        return {}
    found = {}
    encoding = guess_encoding(path)
    if encoding != "utf-8":
        found["encoding"] = encoding
        look.notes.append(f"its bytes are no UTF-8; as {encoding}, are letters such as é right?")
    if look.form == "csv":
        with open_text(path, encoding, newline="") as file:
            header = file.readline()
        counts = {delimiter: header.count(delimiter) for delimiter in DELIMITERS}
        likely = max(counts, key=counts.__getitem__)
        if not counts[","] and counts[likely]:
            found["delimiter"] = likely
    return found


def guess_encoding(path: Path) -> str:
    """UTF-8, or what the bytes can be read as; raises DataError for NUL characters."""
    with open_binary(path) as file:
        if file.read(2) in WIDE_MARKS:
            return "utf-16"
        file.seek(0)
        is_utf_8 = all(_can_decode(line, "utf-8") for line in file)
        file.seek(0)
        encoding = "utf-8" if is_utf_8 else "cp1252"
        if not is_utf_8 and not all(_can_decode(line, "cp1252") for line in file):
            encoding = "latin-1"  # which any bytes are
    check_bytes(path, encoding)
    return encoding


def _can_decode(line: bytes, encoding: str) -> bool:
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _look(kind: Kind, path: Path, source: Source, look: Look) -> None:
    if look.form == "text":
        _look_at_text(kind, path, source.encoding, look)
        return
    every = read_rows(path, source)
    rows = list(islice(every, LOOKED_AT))
    if not rows:
        raise DataError(f"{path}: holds no row")
    look.columns = choose_columns(kind, rows, look.notes)
    for row in rows:
        for name in ("prompt", "reply", "text", "turns"):
            _count(look, str(row.values.get(look.columns.get(name, ""), "")))
    _reckon(look, len(rows), every)


def _look_at_text(kind: Kind, path: Path, encoding: str, look: Look) -> None:
    if kind in ("replies", "conversations"):
        raise DataError(f"{path}: is plain text; {kind} need a table or JSON lines")
    separator = "line" if kind == "lines" else "blank-line"
    every = read_text(path, encoding, separator)
    texts = [row.values["text"] for row in islice(every, LOOKED_AT)]
    for text in texts:
        _count(look, text)
    _reckon(look, len(texts), every)
    if kind == "text":
        look.separator = "blank-line" if _are_poems(texts) else "file"
        other = "file" if look.separator == "blank-line" else "blank-line"
        meaning = "it is one long text" if other == "file" else "each is a text of its own"
        look.notes.append(
            f"it has {look.rows:,} blocks between blank lines; set separator = "
            f"{json.dumps(other)} if {meaning}"
        )


def _reckon(look: Look, seen: int, others: Iterable[Row]) -> None:
    """Take the rows that were not looked at for as long as the others."""
    look.rows = seen + sum(1 for _ in others)
    look.characters = look.characters * look.rows // max(1, seen)


def _are_poems(texts: Sequence[str]) -> bool:
    """Whether blocks are many and made of several short lines, as no book's paragraphs are."""
    lines = [text.split("\n") for text in texts]
    return (
        len(texts) >= MIN_POEMS
        and median(map(len, lines)) > 1
        and median(len(line) for block in lines for line in block) <= SHORT_LINE
    )


def _count(look: Look, text: str) -> None:
    look.characters += len(text)
    look.letters.update(text[:2000])
