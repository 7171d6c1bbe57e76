"""The steps of cleaning that a recipe asks for, and an account of what they changed."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lstmserve_training.data.examples import AGENT, Example, Turn
from lstmserve_training.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lstmserve_training.data.examples import RowCounts
    from lstmserve_training.recipe.sections import Cleaning, Sentences

SHOWN = 5
MAX_LABEL, SHOWN_LETTERS = 200, 30  # characters
BETWEEN_WORDS = re.compile(r"(?<=\w)[\s_-]+(?=\w)")  # "-1" and "1", "C" and "C++" are two labels


@dataclass(frozen=True)
class Step:
    """A change of text under the name that the report has for it."""

    name: str
    change: Callable[[str], str]
    is_for_replies: bool = False


@dataclass
class Changes:
    """How many texts each step changed, with a few examples: where, before and after."""

    texts: int = 0
    steps: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    examples: list[tuple[str, str, str]] = field(default_factory=list)

    def note(self, place: str, before: str, after: str) -> None:
        self.texts += 1
        if len(self.examples) < SHOWN:
            self.examples.append((place, before, after))


class Cleaner:
    """Carries out the steps of a source, then those of the recipe."""

    def __init__(self, *cleanings: Cleaning) -> None:
        self.changes = Changes()
        self._steps = [step for cleaning in cleanings for step in _steps(cleaning)]
        patterns = [cleaning.drop_matching for cleaning in cleanings if cleaning.drop_matching]
        self._unwanted = [re.compile(pattern) for pattern in patterns]
        self._folds = any(cleaning.fold_labels for cleaning in cleanings)

    def clean(self, examples: Iterable[Example], counts: RowCounts) -> list[Example]:
        """The examples, cleaned; what is unwanted, or empty after it, is dropped and counted."""
        kept = []
        for example in examples:
            turns = tuple(self._clean_turn(turn, example.place) for turn in example.turns)
            cleaned = example if turns == example.turns else replace(example, turns=turns)
            if any(p.search(turn.text) for p in self._unwanted for turn in cleaned.turns):
                counts.drop("matches drop_matching", example.place)
            elif _is_emptied(example, cleaned):
                counts.drop("empty after cleaning", example.place)
            else:
                kept.append(cleaned)
        return kept

    def _clean_turn(self, turn: Turn, place: str) -> Turn:
        text = turn.text
        for step in self._steps:
            if turn.role == AGENT or not step.is_for_replies:
                after = step.change(text)
                self.changes.steps[step.name] += after != text
                text = after
        if text != turn.text:
            self.changes.note(place, turn.text, text)
        label = " ".join(turn.label.lower().split()) if self._folds else turn.label
        return Turn(turn.role, text, label)


def _is_emptied(before: Example, after: Example) -> bool:
    return any(
        old.text.strip() and not new.text.strip()
        for old, new in zip(before.turns, after.turns, strict=True)
    )


def _steps(cleaning: Cleaning) -> list[Step]:
    steps: list[Step] = []
    for rule in cleaning.replace:
        pattern = re.compile(rule.pattern, re.IGNORECASE if rule.ignore_case else 0)
        steps.append(Step(f"replace {rule.pattern!r}", _replacer(pattern, rule.by)))
    if cleaning.sentences:
        steps.append(Step("sentences", _shortener(cleaning.sentences), is_for_replies=True))
    if cleaning.one_line:
        steps.append(Step("one_line", lambda text: " ".join(text.split())))
    if cleaning.strip:
        steps.append(Step("strip", str.strip))
    return steps


def _replacer(pattern: re.Pattern[str], by: str) -> Callable[[str], str]:
    try:
        re.sub(pattern, by, "")
    except (re.error, IndexError) as error:
        raise DataError(
            f"cleaning.replace: {by!r} does not fit {pattern.pattern!r}: {error}"
        ) from None
    return lambda text: pattern.sub(by, text)


def _shortener(sentences: Sentences) -> Callable[[str], str]:
    drop = re.compile(sentences.drop) if sentences.drop else None

    def shorten(text: str) -> str:
        """The first sentences of each line; headings and fragments have no end and are left out."""
        kept: list[str] = []
        parts = (part for line in text.splitlines() for part in re.split(r"(?<=[.!?])\s+", line))
        for sentence in map(str.strip, parts):
            if not sentence.endswith((".", "!", "?")) or (drop and drop.search(sentence)):
                continue
            if len(" ".join([*kept, sentence]).split()) > sentences.max_words:
                break
            kept.append(sentence)
        return " ".join(kept)

    return shorten


def check_labels(labels: Iterable[tuple[str, str]]) -> None:
    """Raise DataError for a label in two spellings, or one that is a text; with their places."""
    spellings: dict[str, tuple[str, str]] = {}
    for label, place in labels:
        if not label:
            continue
        if len(label) > MAX_LABEL or "\n" in label:
            raise DataError(
                f"{place}: the label {label[:SHOWN_LETTERS]!r} … has {len(label):,} characters, or "
                "several lines: is the column of labels (columns.label) another one?"
            )
        first, where = spellings.setdefault(_plain(label), (label, place))
        if first != label:
            raise DataError(
                f"two spellings of one label: {_show(first)} ({where}) and {_show(label)} "
                f"({place}); write one of them, or set cleaning.fold_labels = true if they differ "
                "in case or space only"
            )


def _plain(label: str) -> str:
    """What spellings of one label have in common."""
    text = unicodedata.normalize("NFKC", label).casefold()
    return BETWEEN_WORDS.sub(" ", text).rstrip(".,:;!") or text


def _show(label: str) -> str:
    """With the codes of letters that another spelling has in two parts, and looks the same."""
    return repr(label) if unicodedata.is_normalized("NFKC", label) else ascii(label)
