"""Reads what a classifier learns from: questions, conversations and their labels."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lstmserve_bundle.bundle import describe_file
from lstmserve_bundle.template import Turn
from lstmserve_training.data.cleaning import Cleaner, check_labels
from lstmserve_training.data.examples import AGENT, USER, Example, RowCounts, value
from lstmserve_training.data.examples import Turn as ExampleTurn
from lstmserve_training.data.files import find_files
from lstmserve_training.data.splitting import choose_held_out, digest
from lstmserve_training.data.tables import Row, read_rows
from lstmserve_training.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from lstmserve_training.recipe.classifier import ClassifierSection, QuestionSource
    from lstmserve_training.recipe.schema import Recipe

USER_ROLES = frozenset({"user", "customer", "human", "client"})
AGENT_ROLES = frozenset({"agent", "assistant", "bot", "support"})
UNLABELED = frozenset({"filler", "follow-up"})
MIN_LABELS = 2


@dataclass(frozen=True)
class Question:
    """A conversation up to a question, and the question's label."""

    turns: tuple[Turn, ...]
    label: str
    place: str = ""


@dataclass
class Questions:
    """All questions of a recipe, by what they are for."""

    training: list[Question] = field(default_factory=list)
    held_out: list[Question] = field(default_factory=list)
    validation: list[Question] = field(default_factory=list)
    asked: dict[str, list[Question]] = field(default_factory=dict)  # only measured, by source
    fillers: list[str] = field(default_factory=list)
    follow_ups: list[tuple[Turn, ...]] = field(default_factory=list)  # the customer's turn last
    labels: list[str] = field(default_factory=list)
    report: list[dict[str, Any]] = field(default_factory=list)


def read_questions(recipe: Recipe, section: ClassifierSection, folder: Path) -> Questions:
    """Read, clean and split; raises DataError naming file and line of what is wrong."""
    found, rng = Questions(), random.Random(recipe.seed)
    for source in section.sources:
        questions = _read_source(recipe, source, folder, found)
        if source.use == "filler":
            found.fillers += [question.turns[-1].text for question in questions]
        elif source.use == "follow-up":
            found.follow_ups += [question.turns for question in questions]
        elif source.use == "questions":
            found.asked[source.name] = questions
        elif source.use == "validation":
            found.validation += questions
        else:
            _split(questions, source, section.held_out, found, rng)
    _check_labels(section, found)
    return found


def _split(
    questions: list[Question],
    source: QuestionSource,
    held_out: float,
    found: Questions,
    rng: random.Random,
) -> None:
    if source.share < 1:
        questions = [question for question in questions if rng.random() < source.share]
    chosen = choose_held_out(map(_example, questions), held_out) if questions else set()
    for question in questions:
        if digest(_example(question)) in chosen:
            found.held_out.append(question)
        else:
            found.training += [question] * source.repeat


def _check_labels(section: ClassifierSection, found: Questions) -> None:
    trained = [*found.training, *found.held_out, *found.validation]
    check_labels((question.label, question.place) for question in trained)
    known = Counter(question.label for question in found.training)
    found.labels = sorted(known)
    if len(known) < MIN_LABELS:
        raise DataError(f"{len(known)} labels in the classifier's questions: two are needed")
    missing = sorted(set(section.out_of_scope) - known.keys())
    if missing:
        raise DataError(f"classifier.out_of_scope: no question has the label {', '.join(missing)}")
    found.held_out = [question for question in found.held_out if question.label in known]
    for name, questions in [("validation", found.validation), *found.asked.items()]:
        strange = next((question for question in questions if question.label not in known), None)
        if strange is not None:
            raise DataError(
                f"{strange.place}: the label {strange.label!r} ({name}) is in no "
                f"question that is trained on; there are: {', '.join(found.labels[:20])}"
            )


def _read_source(
    recipe: Recipe, source: QuestionSource, folder: Path, found: Questions
) -> list[Question]:
    counts, cleaner = RowCounts(), Cleaner(source.cleaning, recipe.cleaning)
    examples = cleaner.clean(_read_examples(source, folder, counts), counts)
    questions = [_question(example, source) for example in examples]
    dropped = sum(map(len, counts.dropped.values()))
    found.report.append(
        {
            "name": source.name,
            "use": source.use,
            "files": {path.name: describe_file(path).sha256 for path in find_files(source, folder)},
            "rows": counts.rows,
            "changed": cleaner.changes.texts,
            "dropped": dropped,
        }
    )
    return questions


def _read_examples(source: QuestionSource, folder: Path, counts: RowCounts) -> Iterator[Example]:
    for path in find_files(source, folder):
        for row in read_rows(path, source):
            counts.rows += 1
            turns, label = _turns(row, source), _label(row, source)
            if not turns or not turns[-1].text.strip():
                counts.drop("empty question", row.place)
            elif not label and source.use not in UNLABELED:
                counts.drop("no label", row.place)
            else:
                last = ExampleTurn(USER, turns[-1].text, label)
                yield Example((*turns[:-1], last), row.place)


def _label(row: Row, source: QuestionSource) -> str:
    if source.label or source.use in UNLABELED:
        return source.label
    found = value(row, source.columns.label, "label").strip()
    return source.labels.get(found, found)


def _turns(row: Row, source: QuestionSource) -> list[ExampleTurn]:
    columns = source.columns
    if not columns.turns:
        return [ExampleTurn(USER, value(row, columns.text, "text"))]
    listed = row.values.get(columns.turns)
    if not isinstance(listed, list) or not all(isinstance(turn, dict) for turn in listed):
        raise DataError(f"{row.place}: {columns.turns!r} must be a list of objects, a turn each")
    turns = [_turn(Row(row.place, turn), source) for turn in listed]
    if turns and turns[-1].role != USER:
        raise DataError(f"{row.place}: the last turn must be the customer's: it has the label")
    return turns


def _turn(row: Row, source: QuestionSource) -> ExampleTurn:
    role = value(row, source.columns.role, "role").strip().lower()
    text = value(row, source.columns.content, "content")
    if role not in USER_ROLES | AGENT_ROLES:
        known = ", ".join(sorted(USER_ROLES | AGENT_ROLES))
        raise DataError(f"{row.place}: the role {role!r} is none of {known}")
    return ExampleTurn(USER if role in USER_ROLES else AGENT, text)


def _question(example: Example, source: QuestionSource) -> Question:
    turns = tuple(Turn(turn.role, turn.text) for turn in example.turns)
    return Question(turns, source.label or example.turns[-1].label, example.place)


def _example(question: Question) -> Example:
    turns: Sequence[Turn] = question.turns
    return Example(tuple(ExampleTurn(turn.role, turn.text) for turn in turns), question.place)
