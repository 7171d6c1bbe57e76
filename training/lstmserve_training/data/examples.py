"""Rows as training examples: what is asked and answered, or a text."""

from __future__ import annotations

import math
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from lstmserve_training.data.files import find_files
from lstmserve_training.data.tables import Row, format_of, read_rows
from lstmserve_training.data.texts import TEXT, read_text
from lstmserve_training.errors import DataError
from lstmserve_training.recipe.schema import DIALOGUES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from lstmserve_training.recipe.schema import Recipe
    from lstmserve_training.recipe.sections import Source

USER, AGENT = "user", "agent"


@dataclass(frozen=True, slots=True)  # there may be ten million
class Turn:
    """One text; ``label`` is set where the reply is to begin with the token of a label."""

    role: str  # empty: of a model without roles
    text: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Example:
    """A conversation, or a text as its one turn.

    A last turn of the agent without text is a reply that a pool is to give.
    """

    turns: tuple[Turn, ...]
    place: str = ""

    @property
    def label(self) -> str:
        """What it is about, as far as that is known."""
        return next((turn.label for turn in self.turns if turn.label), "")


@dataclass
class RowCounts:
    """What became of a source's rows."""

    rows: int = 0
    dropped: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def drop(self, reason: str, place: str) -> None:
        self.dropped[reason].append(place)


def read_examples(recipe: Recipe, source: Source, folder: Path, counts: RowCounts) -> list[Example]:
    """All examples of a source; what is empty is dropped and counted."""
    kind = recipe.kind_of(source)
    found: list[Example] = []
    for path in find_files(source, folder):
        if format_of(path, source.format) == "text":
            found += _from_text(path, source, kind, counts)
        elif kind == "conversations" and not source.columns.turns:
            found += _from_turn_rows(_counted(read_rows(path, source), counts), source)
        else:
            convert = _converter(kind, source)
            for row in _counted(read_rows(path, source), counts):
                example = convert(row)
                reason = "" if kind == "conversations" else _why_empty(example, source)
                if reason:
                    counts.drop(reason, row.place)
                else:
                    found.append(example)
    return found


def _counted(rows: Iterable[Row], counts: RowCounts) -> Iterator[Row]:
    for row in rows:
        counts.rows += 1
        yield row


def _from_text(path: Path, source: Source, kind: str, counts: RowCounts) -> Iterator[Example]:
    if kind in DIALOGUES:
        raise DataError(
            f"{path}: is plain text; {kind} need a table or JSON lines with columns (set 'format' "
            "of the source if it is one)"
        )
    separator = "line" if kind == "lines" else source.separator
    for row in _counted(read_text(path, source.encoding, separator), counts):
        if row.values[TEXT].strip():
            yield Example((Turn("", row.values[TEXT]),), row.place)
        else:
            counts.drop("empty", row.place)


def _converter(kind: str, source: Source) -> Callable[[Row], Example]:
    columns = source.columns
    if kind == "replies" and columns.turns:
        return lambda row: _question(row, source)
    if kind == "replies":
        return lambda row: _reply(row, source)
    if kind == "conversations":
        return lambda row: _conversation(row, source)
    return lambda row: Example((Turn("", _lines(row, columns.text)),), row.place)


def _lines(row: Row, column: str) -> str:
    """The text in a column, or the texts of a list there, each on a line of its own."""
    found = row.values.get(column)
    if not isinstance(found, list):
        return value(row, column, "text")
    return "\n".join(value(Row(row.place, {column: part}), column, "text") for part in found)


def _reply(row: Row, source: Source) -> Example:
    columns = source.columns
    label = value(row, columns.label, "label") if columns.label else ""
    prompt = reply = ""
    if source.use != "reply-pool":
        prompt = value(row, columns.prompt, "prompt")
    if source.use != "questions" and (columns.reply or not columns.label):
        reply = value(row, columns.reply, "reply")
    turns = (Turn(USER, prompt), Turn(AGENT, reply, sys.intern(label.strip())))
    return Example(turns, row.place)


def _question(row: Row, source: Source) -> Example:
    """A conversation whose last turn is to be answered; its label may be found later."""
    found = _conversation(row, source)
    if not source.columns.label:
        return found
    if found.turns[-1:] and found.turns[-1].role != USER:
        raise DataError(f"{row.place}: the last turn must be the user's: a reply-pool answers it")
    label = value(row, source.columns.label, "label").strip()
    return Example((*found.turns, Turn(AGENT, "", label)), row.place)


def _conversation(row: Row, source: Source) -> Example:
    columns = source.columns
    turns = row.values.get(columns.turns)
    if columns.turns not in row.values:
        _missing(row, columns.turns, "turns")
    if not isinstance(turns, list):
        raise DataError(f"{row.place}: {columns.turns!r} must be a list of turns")
    parts = [_turn(Row(row.place, turn), columns.content, source) for turn in turns]
    return Example(tuple(parts), row.place)


def _from_turn_rows(rows: Iterable[Row], source: Source) -> Iterator[Example]:
    columns, turns = source.columns, dict[str, list[Turn]]()
    places: dict[str, str] = {}
    for row in rows:
        number = value(row, columns.conversation, "conversation")
        places.setdefault(number, row.place)
        turns.setdefault(number, []).append(_turn(row, columns.text, source))
    for number, parts in turns.items():
        yield Example(tuple(parts), places[number])


def _turn(row: Row, column: str, source: Source) -> Turn:
    if not isinstance(row.values, dict):
        raise DataError(f"{row.place}: a turn must be an object with a role and a text")
    role = value(row, source.columns.role, "role").strip()
    for ours, theirs in ((USER, source.users), (AGENT, source.agents)):
        if role.lower() in (name.lower() for name in theirs):
            return Turn(ours, value(row, column, "content"))
    raise DataError(
        f"{row.place}: the role {role!r} is neither among the source's 'users' "
        f"({', '.join(source.users)}) nor its 'agents' ({', '.join(source.agents)})"
    )


def value(row: Row, column: str, name: str) -> str:
    """The text in a column; raises DataError where there is no such column, or no text."""
    if column not in row.values:
        _missing(row, column, name)
    found: Any = row.values[column]
    if found is None or (isinstance(found, float) and math.isnan(found)):
        return ""
    if isinstance(found, str | int | float):
        text = str(found)
        _check_text(text, f"{row.place}, {column!r}")
        return text
    raise DataError(f"{row.place}: {column!r} holds no text but {type(found).__name__}")


def _check_text(text: str, place: str) -> None:
    """Raise DataError for what JSON and Parquet can write although it is no text."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{place}, character {error.start + 1}: half of a character "
            f"({text[error.start]!r}), which was cut in two: export the data again"
        ) from None
    at = text.find("\0")
    if at >= 0:
        raise DataError(
            f"{place}, character {at + 1}: a NUL character, which no text has; mend the row, or "
            "export the data again"
        )


def _missing(row: Row, column: str, name: str) -> NoReturn:
    there = ", ".join(map(repr, row.values)) or "none"
    wanted = f"no column {column!r}" if column else f"'columns.{name}' is not set"
    raise DataError(f"{row.place}: {wanted}; there are: {there}. Set columns.{name} of the source")


def _why_empty(example: Example, source: Source) -> str:
    if source.columns.turns:
        is_whole = example.turns and all(turn.text.strip() for turn in example.turns[:-1])
        return "" if is_whole else "an empty turn"
    if len(example.turns) == 1:
        return "" if example.turns[0].text.strip() else "empty"
    prompt, reply = example.turns[0], example.turns[-1]
    if source.use != "reply-pool" and not prompt.text.strip():
        return "empty prompt"
    if source.columns.label and not example.label:
        return "empty label" if source.use != "training" or not reply.text.strip() else ""
    needs_reply = source.use == "reply-pool" or not source.columns.label or source.columns.reply
    return "empty reply" if needs_reply and not reply.text.strip() else ""


def drop_hollow(examples: Sequence[Example], counts: RowCounts) -> list[Example]:
    """Conversations without empty turns, of two turns at least, in which the model speaks."""
    kept = []
    for example in examples:
        turns = tuple(turn for turn in example.turns if turn.text.strip())
        if len(turns) < 2 or all(turn.role != AGENT for turn in turns):  # noqa: PLR2004 - a pair
            counts.drop("a conversation in which nobody answers", example.place)
        else:
            kept.append(Example(turns, example.place))
    return kept
