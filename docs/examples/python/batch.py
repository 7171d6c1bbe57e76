"""Answers the column ``question`` of a CSV: ``python batch.py 127.0.0.1:50051 IN.csv OUT.csv``.

The file may be larger than memory. What fails has its error in its row, and the exit status is 1;
where nothing could be asked it is 2. A terminal shows how far it is, with ``tqdm`` if it is there.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator
from importlib import import_module
from itertools import tee
from pathlib import Path
from typing import TypeVar

from lstmserve_client import Client, LstmserveError, Reply

COLUMN = "question"
COLUMNS = (COLUMN, "reply", "label", "outcome", "error")
Item = TypeVar("Item")


def row_of(question: str, found: Reply | LstmserveError) -> dict[str, str]:
    if isinstance(found, LstmserveError):
        return {"question": question, "error": str(found)}
    label = found.classification.label.name if found.classification else ""
    outcome = found.completion.outcome.value
    return {"question": question, "reply": found.text, "label": label, "outcome": outcome}


def shown(items: Iterable[Item]) -> Iterable[Item]:
    """Show how far it is, if anybody looks on."""
    if not sys.stderr.isatty():
        return items
    try:
        return import_module("tqdm").tqdm(items, unit=" rows")  # type: ignore[no-any-return]
    except ImportError:
        return counted(items)


def counted(items: Iterable[Item]) -> Iterator[Item]:
    for number, item in enumerate(items, 1):
        yield item
        print(f"\r{number:,} rows", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)


def main(target: str, source: str, destination: str) -> int:
    failed = 0
    with (
        Client(target, caller="batch") as client,
        Path(source).open(newline="", encoding="utf-8-sig") as given,  # as Excel writes it, too
    ):
        rows = csv.DictReader(given)
        if COLUMN not in (names := rows.fieldnames or ()):
            has = f"it has: {', '.join(names)}" if names else "it is empty"
            print(f"{source}: has no column {COLUMN!r}; {has}", file=sys.stderr)
            return 2
        with Path(destination).open("w", newline="", encoding="utf-8") as made:
            writer = csv.DictWriter(made, COLUMNS, restval="")
            writer.writeheader()
            questions, asked = tee(row[COLUMN] for row in rows)
            replies = client.reply_many(asked, concurrency=8, seed=7, priority="low")
            for question, found in zip(questions, shown(replies), strict=True):
                failed += isinstance(found, LstmserveError)
                writer.writerow(row_of(question, found))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
