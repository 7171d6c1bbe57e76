"""answers.json: a version's own words for labels, what may stand in them, and what must not.

The schema is as strict as the manifest's. Nothing here reads any other file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from lstmserve_bundle.errors import ManifestError
from lstmserve_bundle.files import decode_text, size_of
from lstmserve_bundle.manifest import StrictModel, describe

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet
    from pathlib import Path

ANSWERS_NAME = "answers.json"
MAX_BYTES = 4 << 20  # some thousand long answers
MAX_CHARACTERS = 4000  # of one answer
MAX_VARIANTS = 64
MAX_MENTIONS = 8
MAX_FORBIDDEN = 256
MAX_QUESTIONS = 10_000

# a placeholder as answers spell it; models also write {{Order Number}}, which is the same one
PLACEHOLDER = re.compile(r"\{\{ {0,4}([A-Za-z][A-Za-z0-9_ -]{0,63}?) {0,4}\}\}")
# what a fallback answer may hold besides: the titles of the two most probable labels
CHOICES = ("first_choice", "second_choice")

Kind = Literal["order_number", "email", "name", "amount", "date", "custom"]
Outcome = Literal["answered", "unsure", "handover"]
PlaceholderName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Text = Annotated[str, Field(min_length=1, max_length=MAX_CHARACTERS, pattern=r"\S")]
Texts = Annotated[list[Text], Field(max_length=MAX_VARIANTS)]
Line = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^\r\n]*\S[^\r\n]*$")]
Mentions = Annotated[list[Line], Field(max_length=MAX_MENTIONS, default_factory=list)]
Phrase = Annotated[str, Field(min_length=2, max_length=200, pattern=r"^\S.*\S$")]


def to_name(spelled: str) -> str:
    """Return the name of a placeholder, however it is spelled between its brackets."""
    return re.sub(r"[ -]+", "_", spelled.strip().lower())


def names_in(text: str) -> Iterator[str]:
    """Yield the names of the placeholders in a text."""
    return (to_name(found[1]) for found in PLACEHOLDER.finditer(text))


class Placeholder(StrictModel):
    """What may fill a gap: values of its kind, or else its default."""

    kind: Kind = "custom"
    default: Line | None = None
    spellings: Annotated[list[Line], Field(max_length=16, default_factory=list)]
    """Texts that mean the same where a model writes them, such as ``[number]``; not in answers."""


class LabelAnswers(StrictModel):
    """What is said to one label; without answers the model generates them."""

    title: Line | None = None
    """What the label is about, in words for customers: it is offered when it is not certain."""
    answers: Annotated[Texts, Field(default_factory=list)]
    mentions: Mentions
    """Sentences with placeholders that end a reply, whoever wrote it: each where it can be filled,
    and the reply has not said those values already. So what a customer gave before is used."""
    outcome: Outcome = "answered"


class QuestionAnswer(StrictModel):
    """One of a company's own questions; the index ``faq.bin`` finds it by its place."""

    question: Line
    answer: Text
    outcome: Outcome = "answered"


class Fallback(StrictModel):
    """What is said when it is not known what is asked."""

    answers: Annotated[Texts, Field(min_length=1)]
    mentions: Mentions
    min_confidence: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Labels less probable than this get the fallback answer, unless a request says otherwise."""


class PhraseFinder:
    """Finds phrases in texts, whatever their case is."""

    def __init__(self, phrases: Sequence[str]) -> None:
        self._phrases = phrases
        self._pattern = re.compile("|".join(map(re.escape, phrases)), re.IGNORECASE)
        # a pattern that minds no case takes thirty times as long, and letters that are not ASCII
        # may be equal to some that are
        are_plain = all(map(str.isascii, phrases))
        self._lower = [phrase.lower() for phrase in phrases] if are_plain else None

    def find(self, text: str) -> str | None:
        """Return the first of them in a text, as it stands there."""
        if self._lower is not None and text.isascii():
            lower = text.lower()
            if not any(phrase in lower for phrase in self._lower):
                return None
        found = self._pattern.search(text) if self._phrases else None
        return None if found is None else found[0]


class Answers(StrictModel):
    """The file."""

    schema_version: Literal[1] = 1
    labels: Annotated[dict[str, LabelAnswers], Field(default_factory=dict)]
    questions: Annotated[
        list[QuestionAnswer], Field(max_length=MAX_QUESTIONS, default_factory=list)
    ]
    placeholders: Annotated[dict[PlaceholderName, Placeholder], Field(default_factory=dict)]
    fallback: Fallback | None = None
    forbidden: Annotated[list[Phrase], Field(max_length=MAX_FORBIDDEN, default_factory=list)]
    """Phrases that no generated reply may hold: their sentences are left out. Case is not looked
    at. Own answers are not searched for them: who writes "two working days" knows it."""

    @model_validator(mode="after")
    def _fits_together(self) -> Answers:
        for label, entry in self.labels.items():
            if entry.outcome == "unsure" and not entry.answers and self.fallback is None:
                raise ValueError(f"labels.{label}: is unsure, and there is no fallback answer")
            self._check_texts(f"labels.{label}.answers", entry.answers, ())
            self._check_mentions(f"labels.{label}.mentions", entry.mentions)
        for number, each in enumerate(self.questions):
            self._check_texts(f"questions[{number}].answer", [each.answer], ())
        if self.fallback is not None:
            self._check_texts("fallback.answers", self.fallback.answers, CHOICES)
            self._check_mentions("fallback.mentions", self.fallback.mentions)
        return self

    def _check_mentions(self, where: str, texts: list[str]) -> None:
        self._check_texts(where, texts, ())
        for number, text in enumerate(texts):
            if next(names_in(text), None) is None:
                raise ValueError(f"{where}[{number}]: has no {{{{placeholder}}}}")

    def _check_texts(self, where: str, texts: list[str], also: tuple[str, ...]) -> None:
        for number, text in enumerate(texts):
            rest = PLACEHOLDER.sub("", text)
            if "{{" in rest or "}}" in rest:
                raise ValueError(f"{where}[{number}]: has a bracket that is no {{{{placeholder}}}}")
            for name in names_in(text):
                if name not in self.placeholders and name not in also:
                    raise ValueError(
                        f"{where}[{number}]: {{{{{name}}}}} is not among the placeholders"
                    )

    def check_own_words(self) -> None:
        """Raise ValueError for an answer that holds what the same author forbids."""
        spoken: dict[str, LabelAnswers | Fallback] = {
            f"labels.{name}": each for name, each in self.labels.items()
        }
        if self.fallback is not None:
            spoken["fallback"] = self.fallback
        texts = [(where, [*each.answers, *each.mentions]) for where, each in spoken.items()]
        texts += [("questions", [each.answer for each in self.questions])]
        for where, found in texts:
            for text in found:
                if phrase := self.find_forbidden(text):
                    raise ValueError(f"{where}: an answer holds the forbidden {phrase!r}")

    def find_forbidden(self, text: str) -> str | None:
        """Return the first forbidden phrase in a text, as it stands there."""
        return self.finder.find(text)

    @cached_property
    def finder(self) -> PhraseFinder:
        """Finds what is forbidden."""
        return PhraseFinder(self.forbidden)

    @cached_property
    def spelled(self) -> dict[str, str]:
        """Placeholders by their other spellings, in lower case."""
        entries = self.placeholders.items()
        return {text.casefold(): name for name, each in entries for text in each.spellings}

    @cached_property
    def gap_pattern(self) -> re.Pattern[str]:
        """Finds gaps: what stands between brackets is group 1, unless it is another spelling."""
        spellings = sorted(map(re.escape, self.spelled), key=len, reverse=True)
        return re.compile("|".join((PLACEHOLDER.pattern, *spellings)), re.IGNORECASE)

    def check_questions(self, count: int) -> None:
        """Raise ManifestError unless the index of questions has as many as there are answers."""
        if len(self.questions) != count:
            raise ManifestError(
                f"{ANSWERS_NAME}: questions: there are {len(self.questions)}, but the index of "
                f"questions (faq.bin) has {count}"
            )

    def check_labels(self, labels: AbstractSet[str]) -> None:
        """Raise ManifestError for answers to labels that the version does not have."""
        if strangers := sorted(self.labels.keys() - labels):
            raise ManifestError(
                f"{ANSWERS_NAME}: labels: the version has no {', '.join(map(repr, strangers))}; "
                f"it has {', '.join(sorted(labels)) or 'no labels, as it has no classifier'}"
            )


def parse_answers(text: str, where: str) -> Answers:
    """Check and read answers; raises ManifestError naming ``where`` and each bad key."""
    try:
        return Answers.model_validate_json(text)
    except ValidationError as error:
        raise ManifestError(f"{where}: {describe(error, ANSWERS_NAME)}") from None


def read_answers(path: Path) -> Answers:
    """Read ``answers.json``; raises ManifestError when it cannot be used."""
    try:
        if size_of(path) > MAX_BYTES:
            raise ManifestError(f"{path}: answers have at most {MAX_BYTES} bytes")
        text = decode_text(path.read_bytes())
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise ManifestError(f"{path}: {error}") from None
    return parse_answers(text, str(path))


def write_answers(path: Path, answers: Answers) -> None:
    """Write ``answers.json``; what is as by default is left out."""
    document = {"schema_version": 1, **answers.model_dump(exclude_defaults=True)}
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
