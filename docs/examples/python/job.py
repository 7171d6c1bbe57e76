"""Answers a column of Parquet files: ``python job.py 127.0.0.1:50051 QUESTIONS ANSWERS [COLUMN]``.

QUESTIONS is a file or a folder of them, ANSWERS a folder. Stopped by whatever it may be, the same
command goes on with the first part that is missing. Each part is a function of its questions and of
``job.json``: the same bytes, however often the job was stopped, and wherever it runs.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from lstmserve_client import Client, InvalidRequestError, LstmserveError

PART_ROWS = int(os.environ.get("JOB_PART_ROWS", "5000"))
CONCURRENCY = 64  # a server decodes so many replies together
SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("question", "reply", "label", "outcome", "error")]
)
Row = dict[str, str | None]


def main(target: str, source: str, destination: str, column: str = "question") -> int:
    folder = Path(destination)
    folder.mkdir(parents=True, exist_ok=True)
    with Client(target, caller="job") as client:
        asked = read_job(client, folder / "job.json")
        for number, questions in enumerate(read_parts(Path(source), column)):
            part = folder / f"part-{number:05}.parquet"
            if not part.exists():
                rows = list(answer(client, questions, asked))
                write(part, rows)
                failed = sum(row["error"] is not None for row in rows)
                print(f"{part}: {len(rows)} rows, {failed} refused", flush=True)
    return 0


def read_job(client: Client, path: Path) -> dict[str, str | int]:
    """What all parts have in common: one version, whatever is served by default later."""
    if not path.exists():
        model = client.model()
        job = {"model": model.name, "model_version": model.version, "seed": 7}
        path.write_text(json.dumps(job))
    return json.loads(path.read_text())  # type: ignore[no-any-return]


def read_parts(source: Path, column: str) -> Iterator[list[str]]:
    """Yield so many questions at a time; files in the order of their names."""
    for path in sorted(source.glob("*.parquet")) if source.is_dir() else [source]:
        for batch in parquet.ParquetFile(path).iter_batches(PART_ROWS, columns=[column]):
            yield batch.column(0).to_pylist()


def answer(client: Client, questions: list[str], asked: dict[str, str | int]) -> Iterator[Row]:
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
    except LstmserveError as error:
        sys.exit(f"stopped, and goes on when it is started again: {error}")
