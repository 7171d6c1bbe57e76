"""Reads a table of a company's own questions: a row for each, and rows for other wordings of it.

    question,answer,outcome
    How do I return a lamp?,"Print the label at {{orders_page}}.",
    Can I send something back?,,
    I broke my lamp,"A colleague takes over.",handover

A row without an answer is the question above it in other words.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from lstmserve_bundle.answers import Answers, QuestionAnswer, names_in
from lstmserve_bundle.faq import FaqEntry
from lstmserve_training.answers.table import KINDS, OUTCOMES, read_cells
from lstmserve_training.errors import DataError

COLUMNS = ("question", "answer", "outcome")


@dataclass(slots=True)
class Question:
    """One question with its answer and other wordings."""

    place: str
    answer: QuestionAnswer
    other_wordings: list[str] = field(default_factory=list)

    @property
    def entry(self) -> FaqEntry:
        """It as the index takes it."""
        return FaqEntry(self.answer.question, self.answer.answer, tuple(self.other_wordings))


def read_question_table(path: Path, answers: Answers) -> list[Question]:
    """Read a CSV file; raises DataError naming file, row and column."""
    found: list[Question] = []
    for place, cells in read_cells(path, COLUMNS, needed=COLUMNS[:2]):
        question, answer, outcome = (cells[name] for name in COLUMNS)
        if not question:
            raise DataError(f"{place}, column question: is empty")
        if outcome and outcome not in OUTCOMES:
            raise DataError(f"{place}, column outcome: must be one of {', '.join(OUTCOMES)}")
        if answer:
            found.append(Question(place, _to_answer(place, question, answer, outcome)))
        elif not found:
            raise DataError(f"{place}, column answer: is empty, and no question stands above")
        else:
            found[-1].other_wordings.append(question)
    if not found:
        raise DataError(f"{path}: holds no question")
    _check_gaps(found, answers)
    return found


def with_questions(answers: Answers, questions: list[Question], path: Path) -> Answers:
    """Return the answers with this list of questions, and the placeholders that it needs."""
    document = answers.model_dump()
    document["questions"] = [each.answer.model_dump() for each in questions]
    for each in questions:
        for name in names_in(each.answer.answer):
            document["placeholders"].setdefault(name, {"kind": name})
    try:
        return Answers.model_validate(document)
    except ValidationError as error:
        raise DataError(f"{path}: {error.errors(include_url=False)[0]['msg']}") from None


def _to_answer(place: str, question: str, answer: str, outcome: str) -> QuestionAnswer:
    document = {"question": question, "answer": answer, "outcome": outcome or "answered"}
    try:
        return QuestionAnswer.model_validate(document)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        raise DataError(f"{place}, column {problem['loc'][0]}: {problem['msg']}") from None


def _check_gaps(questions: list[Question], answers: Answers) -> None:
    for each in questions:
        for name in names_in(each.answer.answer):
            if name not in answers.placeholders and (name not in KINDS or name == "custom"):
                raise DataError(
                    f"{each.place}, column answer: {{{{{name}}}}} is not known: give it a row in "
                    "the table of answers (--file), with its default"
                )
