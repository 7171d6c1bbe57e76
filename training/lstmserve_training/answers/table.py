"""Reads a table of answers: a row for each, as companies keep them in a spreadsheet.

    label,answer,title,outcome,mention
    cancel_order,"You can cancel {{order_number}} here: {{orders_page}}.",cancelling an order,,
    cancel_order,"Orders are cancelled at {{orders_page}}.",,,
    contact_human,"A colleague takes over.",,handover,"Your e-mail address is {{email}}."
    fallback,"I am not sure. Is it about {{first_choice}} or {{second_choice}}?",,,
    forbidden,we guarantee,,,
    {{orders_page}},https://example.com/orders,,,

Rows of one label are the variants of its answer. A label in brackets is a placeholder, and its
answer the default. A mention ends the reply, where the reply has not said its values.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from pydantic import ValidationError

from lstmserve_bundle.answers import (
    CHOICES,
    PLACEHOLDER,
    Answers,
    Fallback,
    Kind,
    LabelAnswers,
    Outcome,
    Placeholder,
    names_in,
    to_name,
)
from lstmserve_training.errors import DataError

NEEDED = ("label", "answer")
SAID = ("title", "outcome", "mention")
COLUMNS = (*NEEDED, *SAID)
FALLBACK, FORBIDDEN = "fallback", "forbidden"
KINDS: tuple[str, ...] = get_args(Kind)
OUTCOMES: tuple[str, ...] = get_args(Outcome)
MAX_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class _Row:
    place: str
    label: str
    answer: str
    title: str
    outcome: str
    mention: str

    def wrong(self, column: str, reason: str) -> DataError:
        return DataError(f"{self.place}, column {column}: {reason}")


@dataclass(slots=True)
class AnswerTable:
    """What a table says; ``places`` tells where each label's first row is."""

    answers: Answers
    places: dict[str, str] = field(default_factory=dict)


def read_answer_table(path: Path, labels: frozenset[str]) -> AnswerTable:
    """Read a CSV file; raises DataError naming file, row and column."""
    rows = list(_read_rows(path))
    if not rows:
        raise DataError(f"{path}: holds no answer")
    placeholders = dict(map(_to_placeholder, filter(_is_placeholder, rows)))
    texts = [row for row in rows if not _is_placeholder(row)]
    found: dict[str, list[_Row]] = {}
    for row in texts:
        found.setdefault(_find_label(row, labels), []).append(row)
    for row in texts:
        _check_gaps(row, placeholders)
    fallback, forbidden = found.pop(FALLBACK, []), found.pop(FORBIDDEN, [])
    try:
        answers = Answers(
            labels={label: _to_answers(group) for label, group in found.items()},
            placeholders=placeholders,
            questions=[],
            fallback=_to_fallback(fallback) if fallback else None,
            forbidden=[row.answer for row in forbidden],
        )
    except ValidationError as error:
        raise DataError(f"{path}: {error.errors(include_url=False)[0]['msg']}") from None
    _check_forbidden([row for row in texts if row not in forbidden], answers)
    return AnswerTable(answers, {label: group[0].place for label, group in found.items()})


def _check_forbidden(rows: Sequence[_Row], answers: Answers) -> None:
    """Refuse an answer that holds what its own table forbids."""
    for row in rows:
        if phrase := answers.find_forbidden(f"{row.answer}\n{row.mention}"):
            raise DataError(f"{row.place}: holds the forbidden {phrase!r}")


def _read_rows(path: Path) -> Iterator[_Row]:
    return (_to_row(place, cells) for place, cells in read_cells(path, COLUMNS, needed=NEEDED))


def read_cells(
    path: Path, columns: Sequence[str], needed: Sequence[str]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the place and the cells of each row of a CSV file; raises DataError."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"{path}: has more than {MAX_BYTES >> 20} MiB")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{path}: is not UTF-8; save it as 'CSV UTF-8'") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    head = text.partition("\n")[0]
    delimiter = ";" if head.count(";") > head.count(",") else ","  # as spreadsheets in Europe write
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        _check_header(path, reader.fieldnames or (), columns, needed)
        for values in reader:
            place = f"{path}: row {reader.line_num}"
            if None in values:
                raise DataError(
                    f"{place}: has more cells than the first row; quote answers with commas"
                )
            yield place, {name: (values.get(name) or "").strip() for name in columns}
    except csv.Error as error:
        raise DataError(f"{path}: row {reader.line_num}: {error}") from None


def _check_header(
    path: Path, names: Sequence[str], columns: Sequence[str], needed: Sequence[str]
) -> None:
    missing = [name for name in needed if name not in names]
    strange = [name for name in names if name not in columns]
    if missing or strange:
        reason = f"lacks {missing[0]!r}" if missing else f"has {strange[0]!r}"
        raise DataError(f"{path}: row 1: {reason}; columns are {', '.join(columns)}")


def _to_row(place: str, cells: dict[str, str]) -> _Row:
    row = _Row(place, **cells)
    if not row.label:
        raise row.wrong("label", "is empty")
    if row.outcome and row.outcome not in OUTCOMES:
        raise row.wrong("outcome", f"must be one of {', '.join(OUTCOMES)}, not {row.outcome!r}")
    given = [name for name in SAID if getattr(row, name)]
    allowed: Sequence[str] = SAID
    if _is_placeholder(row) or row.label in {FALLBACK, FORBIDDEN}:
        allowed = ("mention",) if row.label == FALLBACK else ()
    if strange := [name for name in given if name not in allowed]:
        raise row.wrong(strange[0], "must be empty: this row is no answer to a label")
    if not row.answer and not _is_placeholder(row) and not given:
        raise row.wrong("answer", "is empty, and so are title, outcome and mention")
    return row


def _is_placeholder(row: _Row) -> bool:
    return row.label.startswith("{{")


def _to_placeholder(row: _Row) -> tuple[str, Placeholder]:
    spelled = PLACEHOLDER.fullmatch(row.label)
    if spelled is None:
        raise row.wrong("label", "must be a placeholder such as {{order_number}}, or a label")
    name = to_name(spelled[1])
    if name in CHOICES:
        raise row.wrong("label", f"{{{{{name}}}}} is filled by the server")
    kind = name if name in KINDS else "custom"
    try:
        return name, Placeholder.model_validate({"kind": kind, "default": row.answer or None})
    except ValidationError as error:
        raise row.wrong("answer", error.errors(include_url=False)[0]["msg"]) from None


def _check_gaps(row: _Row, placeholders: dict[str, Placeholder]) -> None:
    """Declare what needs no default; raise DataError for what nothing could ever fill."""
    for column, text in (("answer", row.answer), ("mention", row.mention)):
        for name in names_in(text):
            if row.label == FALLBACK and column == "answer" and name in CHOICES:
                continue
            if name not in placeholders:
                placeholders[name] = _declare(row, column, name)
        rest = PLACEHOLDER.sub("", text)
        if "{{" in rest or "}}" in rest:
            raise row.wrong(column, "has a bracket that is no {{placeholder}}")
    if row.mention and next(names_in(row.mention), None) is None:
        raise row.wrong("mention", "has no {{placeholder}}: it would say the same to everybody")


def _declare(row: _Row, column: str, name: str) -> Placeholder:
    if name not in KINDS or name == "custom":
        raise row.wrong(
            column,
            f"{{{{{name}}}}} is not known: add a row whose label is {{{{{name}}}}} and whose "
            "answer is its default, or nothing if requests always send one",
        )
    return Placeholder.model_validate({"kind": name})


def _to_answers(rows: list[_Row]) -> LabelAnswers:
    """Join the rows of one label."""
    titles = {row.title: row for row in rows if row.title}
    outcomes = {row.outcome: row for row in rows if row.outcome}
    for column, given in (("title", titles), ("outcome", outcomes)):
        if len(given) > 1:
            raise list(given.values())[-1].wrong(column, "is another one than in a row before")
    try:
        return LabelAnswers.model_validate(
            {
                "title": next(iter(titles), None),
                "answers": [row.answer for row in rows if row.answer],
                "mentions": [row.mention for row in rows if row.mention],
                "outcome": next(iter(outcomes), "answered"),
            }
        )
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        raise rows[0].wrong(str(problem["loc"][0]), problem["msg"]) from None


def _to_fallback(rows: list[_Row]) -> Fallback:
    return Fallback(
        answers=[row.answer for row in rows if row.answer],
        mentions=[row.mention for row in rows if row.mention],
    )


def _find_label(row: _Row, labels: frozenset[str]) -> str:
    """Return the label that a row names, of which the part before a colon may be left out."""
    if row.label in labels | {FALLBACK, FORBIDDEN}:
        return row.label
    meant = [label for label in labels if label.rpartition(":")[2] == row.label]
    if len(meant) != 1:
        raise row.wrong("label", _no_label(row.label, labels))
    return meant[0]


def _no_label(label: str, labels: frozenset[str]) -> str:
    return (
        f"{label!r} is no label of this version; it has {', '.join(sorted(labels))}, and "
        f"{FALLBACK!r} and {FORBIDDEN!r} are for what is not known and must not be said"
    )
