"""Rows of any form of file: values by column, and the place where each row stands."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from lstmserve_training.data.files import check_bytes, open_text
from lstmserve_training.errors import DataError

if TYPE_CHECKING:
    from lstmserve_training.recipe.sections import FileSource

MAX_CELL = 1 << 24  # characters; beyond that, a quote was not closed
SPREADSHEETS = (".xlsx", ".xls", ".ods", ".numbers")
DELIMITERS = "\t;|,"
FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "json-lines",
    ".ndjson": "json-lines",
    ".json": "json-lines",
    ".parquet": "parquet",
    ".txt": "text",
    ".md": "text",
}


@dataclass(frozen=True, slots=True)
class Row:
    """Values by column; ``place`` is the file and the line."""

    place: str
    values: Mapping[str, Any]


def format_of(path: Path, source_format: str) -> str:
    """The form of a file; raises DataError where its name does not say."""
    if source_format != "auto":
        return source_format
    suffix = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    found = FORMATS.get(suffix.lower())
    if found is None:
        if suffix.lower() in SPREADSHEETS:
            raise DataError(f"{path}: is a spreadsheet, which is not read: export it as CSV")
        raise DataError(
            f"{path}: its name does not say what it is; set 'format' of the source to csv, tsv, "
            "json-lines, text or parquet"
        )
    return found


def read_rows(path: Path, source: FileSource) -> Iterator[Row]:
    """Every row of a table or of JSON lines; raises DataError naming file and line."""
    form = format_of(path, source.format)
    if form == "parquet":
        yield from _read_parquet(path)
        return
    check_bytes(path, source.encoding)
    with open_text(path, source.encoding, newline="") as file:
        if source.lists:
            yield from _read_lists(path, file.read(), source.lists)
        elif form == "json-lines":
            yield from _read_json(path, file)
        else:
            delimiter = source.delimiter or ("\t" if form == "tsv" else ",")
            yield from _read_table(path, file, delimiter)


def read_header(path: Path, source: FileSource) -> list[str]:
    """The columns of a file's first row."""
    row = next(read_rows(path, source), None)
    if row is None:
        raise DataError(f"{path}: holds no row")
    return list(row.values)


def _read_table(path: Path, file: IO[str], delimiter: str) -> Iterator[Row]:
    csv.field_size_limit(MAX_CELL)
    reader = csv.reader(file, delimiter=delimiter, strict=True)
    last = 0
    try:
        header = [name.strip() for name in next(reader, [])]
        _check_header(path, header, delimiter)
        last = reader.line_num
        for cells in reader:
            place, last = f"{path}, line {last + 1}", reader.line_num
            if cells:
                _check_cells(place, cells, header)
                values = (cell.replace("\r\n", "\n") for cell in cells)
                yield Row(place, dict(zip(header, values, strict=True)))
    except csv.Error as error:
        raise DataError(
            f"{path}, line {last + 1}: in the row that begins there, {error}: a quote is not "
            'closed, or stands inside a text and is not doubled ("")'
        ) from None


def _check_header(path: Path, header: list[str], delimiter: str) -> None:
    if not header:
        raise DataError(f"{path}: is empty; the first line names the columns")
    others = [other for other in DELIMITERS if len(header) == 1 and other in header[0]]
    if others and others[0] != delimiter:
        raise DataError(
            f"{path}, line 1: one column, called {header[0]!r}: set delimiter = "
            f"{json.dumps(others[0])} of the source"
        )
    twice = {name for name in header if header.count(name) > 1}
    if twice:
        raise DataError(f"{path}: two columns are called {min(twice)!r}: rename one")


def _check_cells(place: str, cells: list[str], header: list[str]) -> None:
    if len(cells) != len(header):
        raise DataError(
            f"{place}: {len(cells)} cells, but the first line names {len(header)} columns; a text "
            "that holds the delimiter stands in quotes"
        )


def _read_json(path: Path, file: IO[str]) -> Iterator[Row]:
    start = file.read(1)
    if start == "[":
        for number, value in enumerate(_parse(start + file.read(), str(path)), start=1):
            yield _object(value, f"{path}, object {number}")
        return
    for number, line in enumerate(file, start=1):
        whole, start = start + line, ""
        if whole.strip():
            place = f"{path}, line {number}"
            yield _object(_parse(whole, place), place)


def _read_lists(path: Path, text: str, names: list[str]) -> Iterator[Row]:
    """The rows of some of the lists in one object; a row may be a list itself."""
    whole = _object(_parse(text, str(path)), str(path)).values
    for name in names:
        if not isinstance(whole.get(name), list):
            raise DataError(f"{path}: has no list {name!r}; there are: {', '.join(whole)}")
        for number, row in enumerate(whole[name], start=1):
            named = {str(at): cell for at, cell in enumerate(row)} if isinstance(row, list) else row
            yield _object(named, f"{path}, {name}, row {number}")


def _parse(text: str, place: str) -> Any:  # noqa: ANN401 - of JSON
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place}: not JSON: {error}") from None


def _object(value: Any, place: str) -> Row:  # noqa: ANN401 - of JSON
    if not isinstance(value, dict):
        raise DataError(f"{place}: must be an object with names and values, such as {{…}}")
    return Row(place, value)


def _read_parquet(path: Path) -> Iterator[Row]:
    try:
        from pyarrow import parquet  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        raise DataError(f"{path}: Parquet needs pyarrow; run: pip install pyarrow") from None
    try:
        number = 0
        for batch in parquet.ParquetFile(path).iter_batches():
            for values in batch.to_pylist():
                number += 1
                yield Row(f"{path}, row {number}", values)
    except (OSError, ValueError) as error:  # ArrowInvalid is a ValueError
        raise DataError(f"{path}: cannot be read as Parquet: {error}") from None
