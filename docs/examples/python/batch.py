"""Answers the column ``question`` of a CSV: ``python batch.py 127.0.0.1:50051 IN.csv OUT.csv``.

The file may be larger than memory. What fails has its error in its row, and the exit status is 1.
"""

from __future__ import annotations

import csv
import sys
from itertools import tee
from pathlib import Path

from lstmserve_client import Client, LstmserveError, Reply

COLUMNS = ("question", "reply", "label", "outcome", "error")


def row_of(question: str, found: Reply | LstmserveError) -> dict[str, str]:
    if isinstance(found, LstmserveError):
        return {"question": question, "error": str(found)}
    label = found.classification.label.name if found.classification else ""
    outcome = found.completion.outcome.value
    return {"question": question, "reply": found.text, "label": label, "outcome": outcome}


def main(target: str, source: str, destination: str) -> int:
    failed = 0
    with (
        Client(target, caller="batch") as client,
        Path(source).open(newline="", encoding="utf-8-sig") as given,  # as Excel writes it, too
        Path(destination).open("w", newline="", encoding="utf-8") as made,
    ):
        writer = csv.DictWriter(made, COLUMNS, restval="")
        writer.writeheader()
        questions, asked = tee(row["question"] for row in csv.DictReader(given))
        replies = client.reply_many(asked, concurrency=8, seed=7, priority="low")
        for question, found in zip(questions, replies, strict=True):  # tqdm(...) shows how far
            failed += isinstance(found, LstmserveError)
            writer.writerow(row_of(question, found))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
