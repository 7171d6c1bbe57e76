"""Plain text as documents: lines, blocks between blank lines, or whole files."""

from __future__ import annotations

from itertools import groupby
from typing import IO, TYPE_CHECKING

from lstmserve_training.data.files import check_bytes, open_text
from lstmserve_training.data.tables import Row

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEXT = "text"


def read_text(path: Path, encoding: str, separator: str) -> Iterator[Row]:
    """Each document of a text file; its newlines are line feeds, and are kept."""
    check_bytes(path, encoding)
    with open_text(path, encoding, newline=None) as file:
        if separator == "file":
            yield Row(f"{path}", {TEXT: file.read()})
        elif separator == "line":
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield Row(f"{path}, line {number}", {TEXT: line.rstrip("\n")})
        else:
            yield from _read_blocks(path, file)


def _read_blocks(path: Path, file: IO[str]) -> Iterator[Row]:
    numbered = enumerate(file, start=1)
    for is_text, lines in groupby(numbered, key=lambda pair: bool(pair[1].strip())):
        if is_text:
            block = list(lines)
            text = "".join(line for _, line in block).rstrip("\n")
            yield Row(f"{path}, line {block[0][0]}", {TEXT: text})
