"""Answers a column of Parquet files: ``python job.py 127.0.0.1:50051 QUESTIONS ANSWERS [COLUMN]``.

QUESTIONS is a file or a folder of them, ANSWERS a folder. Stopped by whatever it may be, the same
command goes on with the first part that is missing. Each part is a function of its questions and of
``job.json``: the same bytes, however often the job was stopped, and wherever it runs. ``job.json``
says what the job was begun with: with anything else it does not go on.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from lstmserve_client import Client, InvalidRequestError, LstmserveError

PART_ROWS = int(os.environ.get("JOB_PART_ROWS", "5000"))
CONCURRENCY = 64  # a server decodes so many replies together
SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("question", "reply", "label", "outcome", "error")]
)
PARAMETERS: Mapping[str, int | float | str] = {"seed": 7}  # of every reply, such as max_tokens
Row = dict[str, str | None]


class WrongJobError(Exception):
    """Nothing can be asked as it was said."""


def main(target: str, source: str, destination: str, column: str = "question") -> int:
    folder, paths = Path(destination), find_files(Path(source), column)
    folder.mkdir(parents=True, exist_ok=True)
    with Client(target, caller="job") as client:
        asked = read_job(client, folder / "job.json", describe(paths, column))
        for number, questions in enumerate(read_parts(paths, column)):
            part = folder / f"part-{number:05}.parquet"
            if not part.exists():
                rows = list(answer(client, questions, asked))
                write(part, rows)
                failed = sum(row["error"] is not None for row in rows)
                print(f"{part}: {len(rows)} rows, {failed} refused", flush=True)
    return 0


def find_files(source: Path, column: str) -> list[Path]:
    """Return the files in the order of their names; each must have the column."""
    paths = sorted(source.glob("*.parquet")) if source.is_dir() else [source]
    if not paths:
        raise WrongJobError(f"{source}: has no file *.parquet")
    for path in paths:
        try:
            schema = parquet.read_schema(path)
        except (OSError, pa.ArrowInvalid) as error:
            raise WrongJobError(f"{path}: is no Parquet file that can be read: {error}") from None
        if column not in schema.names:
            names = ", ".join(schema.names)
            raise WrongJobError(f"{path}: has no column {column!r}; it has: {names}")
        kind = schema.field(column).type
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise WrongJobError(f"{path}: the column {column!r} holds {kind}, not text")
    return paths


def describe(paths: list[Path], column: str) -> dict[str, Any]:
    """What parts depend on, besides the version; where the files lie is none of it."""
    return {
        "parameters": dict(PARAMETERS),
        "column": column,
        "part_rows": PART_ROWS,
        "files": {path.name: digest(path) for path in paths},
    }


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_job(client: Client, path: Path, wanted: dict[str, Any]) -> dict[str, Any]:
    """What all parts are asked with: one version, whatever is served by default later."""
    if not path.exists():
        model = client.model()
        half = path.with_suffix(".half")
        version = {"model": model.name, "model_version": model.version}
        half.write_text(json.dumps(version | wanted, indent=2))
        half.rename(path)
    begun = json.loads(path.read_text())
    if different := list(differences(begun, wanted)):
        raise WrongJobError(
            f"{path}: the job was begun with something else: {'; '.join(different)}. "
            "Give another folder for the answers, or begin as before"
        )
    return {name: begun[name] for name in ("model", "model_version")} | wanted["parameters"]


def differences(begun: dict[str, Any], wanted: dict[str, Any]) -> Iterator[str]:
    for name in ("parameters", "column", "part_rows"):
        if begun.get(name) != wanted[name]:
            yield f"{name} was {begun.get(name)!r}, and is {wanted[name]!r}"
    before, now = begun.get("files", {}), wanted["files"]
    for name in sorted(before.keys() | now.keys()):
        if name not in now:
            yield f"the file {name} is gone"
        elif before.get(name) != now[name]:
            yield f"the file {name} {'has changed' if name in before else 'is new'}"


def read_parts(paths: list[Path], column: str) -> Iterator[list[str]]:
    """Yield so many questions at a time."""
    for path in paths:
        for batch in parquet.ParquetFile(path).iter_batches(PART_ROWS, columns=[column]):
            yield batch.column(0).to_pylist()


def answer(client: Client, questions: list[str], asked: dict[str, Any]) -> Iterator[Row]:
    """Yield a row for each question; raises LstmserveError for what may go well another time."""
    replies = client.reply_many(questions, concurrency=CONCURRENCY, priority="low", **asked)
    for question, found in zip(questions, replies, strict=True):
        row: Row = dict.fromkeys(SCHEMA.names)
        row["question"] = question
        if isinstance(found, InvalidRequestError):
            row["error"] = str(found)
        elif isinstance(found, LstmserveError):
            raise found
        else:
            row["reply"], row["outcome"] = found.text, found.completion.outcome.value
            if found.classification:
                row["label"] = found.classification.label.name
        yield row


def write(path: Path, rows: list[Row]) -> None:
    """Write a whole part or none."""
    half = path.with_suffix(".part")
    parquet.write_table(pa.Table.from_pylist(rows, SCHEMA), half)
    half.rename(path)


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except WrongJobError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except LstmserveError as error:
        sys.exit(f"stopped, and goes on when it is started again: {error}")
