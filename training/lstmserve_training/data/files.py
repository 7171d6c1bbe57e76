"""Finds the files of a source, and looks at their bytes before anything long starts."""

from __future__ import annotations

import gzip
import io
from typing import IO, TYPE_CHECKING, cast

from lstmserve_training.errors import DataError, MissingInputError

if TYPE_CHECKING:
    from pathlib import Path

    from lstmserve_training.recipe.sections import FileSource

WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")  # UTF-16, as spreadsheets write it
PACKED_MARKS = {
    b"\x1f\x8b": "is packed by gzip: let its name end in .gz",
    b"PK\x03\x04": "is a spreadsheet or a zip archive: export it as CSV",
    b"PAR1": 'is Parquet: set format = "parquet"',
}
SINGLE_BYTE = ("latin", "iso8859", "iso-8859", "cp125", "windows-125")
SHOWN_CHARACTERS = 30


def find_files(source: FileSource, folder: Path) -> list[Path]:
    """The source's files, sorted by name within each pattern; raises MissingInputError."""
    found: list[Path] = []
    for name in source.files:
        pattern = folder / name
        matches = sorted(pattern.parent.glob(pattern.name)) if "*" in name else [pattern]
        files = [path for path in matches if path.is_file()]
        if not files:
            raise MissingInputError(
                f"{pattern}: no such file; source {source.name!r} names it in 'files', from the "
                "recipe's folder"
            )
        found += files
    return found


def open_binary(path: Path) -> IO[bytes]:
    """A file, unpacked where its name ends in ``.gz``."""
    if path.suffix == ".gz":
        return cast("IO[bytes]", gzip.open(path, "rb"))
    return path.open("rb")


def open_text(path: Path, encoding: str, newline: str | None) -> IO[str]:
    """The text of a file that ``check_bytes`` has found good; a mark at its start is no text."""
    name = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
    return io.TextIOWrapper(open_binary(path), encoding=name, newline=newline)


def check_bytes(path: Path, encoding: str) -> None:
    """Raise DataError naming the first line and column that is not text in this encoding."""
    try:
        "".encode(encoding)
    except LookupError:
        raise DataError(f"encoding {encoding!r}: there is none of this name") from None
    try:
        _check_lines(path, encoding)
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None


def _check_lines(path: Path, encoding: str) -> None:
    is_single = encoding.lower().replace("_", "-").startswith(SINGLE_BYTE)
    is_wide = encoding.lower().replace("_", "-").startswith(("utf-16", "utf-32"))
    with open_binary(path) as file:
        if is_wide:
            _check_line(path, 1, file.read(), encoding)
            return
        for number, line in enumerate(file, start=1):
            if number == 1 and line.startswith(WIDE_MARKS):
                raise DataError(f'{path}: begins as UTF-16 does: set encoding = "utf-16"')
            if number == 1:
                _check_packed(path, line)
            _check_line(path, number, line, encoding)
            if is_single and not line.isascii():
                _check_mixture(path, number, line, encoding)


def _check_packed(path: Path, line: bytes) -> None:
    for mark, what in PACKED_MARKS.items():
        if line.startswith(mark):
            raise DataError(f"{path}: {what}")


def _check_mixture(path: Path, number: int, line: bytes, encoding: str) -> None:
    """Raise DataError for a line that is UTF-8 in a file that is to be of another encoding.

    In one of a byte per letter such a line would be a sequence of capitals and signs that no
    language has: "TÃ¼r" for "Tür".
    """
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        return
    at = next(at for at, letter in enumerate(text) if not letter.isascii())
    raise DataError(
        f"{path}, line {number}, column {at + 1}: {text[at]!r} is in UTF-8, and the file is "
        f"to be {encoding}: it mixes encodings, or 'encoding' of the source is wrong; write all "
        "lines in one"
    )


def _check_line(path: Path, number: int, line: bytes, encoding: str) -> None:
    try:
        text = line.decode(encoding)
    except UnicodeDecodeError as error:
        before = line[: error.start].decode(encoding, errors="replace")
        raise DataError(
            f"{path}, line {number}, column {len(before) + 1}: byte 0x{line[error.start]:02x} is "
            f"not {encoding} (after {before[-SHOWN_CHARACTERS:]!r}); set 'encoding' of the source, "
            'such as "latin-1" or "cp1252", or mend the line'
        ) from None
    at = text.find("\0")
    if at >= 0:
        lines = text[:at].split("\n")
        raise DataError(
            f"{path}, line {number + len(lines) - 1}, column {len(lines[-1]) + 1}: a NUL "
            "character, which no text has; mend the line, or export the data again"
        )
