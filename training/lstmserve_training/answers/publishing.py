"""Makes the next version of a model out of one that is there: other answers, the same weights."""

from __future__ import annotations

from pathlib import Path

from lstmserve_bundle.answers import ANSWERS_NAME, Answers, LabelAnswers, write_answers
from lstmserve_bundle.bundle import Bundle
from lstmserve_bundle.faq import FAQ_NAME, Faq
from lstmserve_training.answers.questions import read_question_table, with_questions
from lstmserve_training.answers.table import read_answer_table
from lstmserve_training.errors import DataError
from lstmserve_training.successor import open_version, publish_successor

NONE = Answers.model_validate({})


def publish_answers(
    store: Path,
    source: str,
    table: Path | None,
    questions: Path | None = None,
    min_confidence: float | None = None,
) -> Path:
    """Write the next version of MODEL/VERSION with the answers of a table, and return its folder.

    ``questions`` is a table of questions and answers, which takes the place of the version's list.
    What the table names is replaced, all else that the version has stays. Raises DataError naming
    row and column, MissingInputError, or PublishError.
    """
    if table is None and questions is None:
        raise DataError("--file or --faq is needed: a table of answers, or one of questions")
    bundle = open_version(store, source)
    found = NONE if table is None else _read_table(bundle, source, table)
    answers = _merge(bundle.answers or NONE, found, min_confidence, table or source)
    entries = [] if questions is None else read_question_table(questions, answers)
    if questions is not None:
        answers = with_questions(answers, entries, questions)

    def write(folder: Path) -> list[str]:
        write_answers(folder / ANSWERS_NAME, answers)
        if not entries:
            return [ANSWERS_NAME]
        (folder / FAQ_NAME).write_bytes(Faq.build([each.entry for each in entries]).to_bytes())
        return [ANSWERS_NAME, FAQ_NAME]

    return publish_successor(store, bundle, write, {"answers_over": source})


def _read_table(bundle: Bundle, source: str, table: Path) -> Answers:
    classifier = bundle.read_classifier()
    if classifier is None:
        raise DataError(
            f"{source}: has no classifier, so nobody knows which answer fits before the reply"
        )
    return read_answer_table(table, frozenset(classifier.labels)).answers


def _replace(known: LabelAnswers | None, given: LabelAnswers) -> LabelAnswers:
    """Return what is said to a label now; mentions alone leave its answers as they are."""
    if known is None:
        return given
    title = given.title or known.title
    if given.mentions and not given.answers and given.outcome == "answered":
        return known.model_copy(update={"title": title, "mentions": given.mentions})
    return given.model_copy(update={"title": title})


def _merge(before: Answers, given: Answers, min_confidence: float | None, table: object) -> Answers:
    """Return what was there, with what is given in its place."""
    fallback = before.fallback
    if given.fallback is not None:
        least = 0.0 if fallback is None else fallback.min_confidence
        fallback = given.fallback.model_copy(update={"min_confidence": least})
    if min_confidence is not None:
        if fallback is None:
            raise DataError(f"{table}: --min-confidence needs a row whose label is fallback")
        fallback = fallback.model_copy(update={"min_confidence": min_confidence})
    labels = dict(before.labels)
    for label, entry in given.labels.items():
        labels[label] = _replace(labels.get(label), entry)
    placeholders = dict(before.placeholders)
    for name, each in given.placeholders.items():
        known = placeholders.get(name, each)  # its spellings are the model's own
        default = each.default if each.default is not None else known.default
        placeholders[name] = known.model_copy(update={"default": default})
    document = {
        "labels": {label: entry.model_dump() for label, entry in labels.items()},
        "placeholders": {name: each.model_dump() for name, each in placeholders.items()},
        "questions": [each.model_dump() for each in before.questions],
        "fallback": None if fallback is None else fallback.model_dump(),
        "forbidden": [*dict.fromkeys([*before.forbidden, *given.forbidden])],
    }
    try:
        return Answers.model_validate(document)
    except ValueError as error:
        raise DataError(f"{table}: {error}") from None
