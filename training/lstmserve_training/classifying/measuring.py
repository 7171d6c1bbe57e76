"""How well a classifier names questions that it has not seen."""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lstmserve_bundle.template import Turn
from lstmserve_training.data.augmentation import mistype

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lstmserve_bundle.calibration import Classification
    from lstmserve_bundle.classifier import Classifier
    from lstmserve_training.classifying.questions import Question

Measures = dict[str, float | int]

BINS = 15
KEPT_IN_SCOPE = 0.9
MOST_QUESTIONS = 500  # that are asked in other forms


def _mistype_one(text: str, rng: random.Random) -> str:
    words = text.split(" ")
    at = max(range(len(words)), key=lambda n: (len(words[n]), -n))
    words[at] = mistype(words[at], rng)
    return " ".join(words)


# what changes nothing that a person would understand otherwise
SMALL_CHANGES: dict[str, Callable[[str, random.Random], str]] = {
    "capitals": lambda text, _rng: text.upper(),
    "lower_case": lambda text, _rng: text.lower(),
    "no_punctuation": lambda text, _rng: text.strip("?!. ").replace(",", ""),
    "please": lambda text, _rng: f"please {text}",
    "thanks": lambda text, _rng: f"{text} Thanks!",
    "greeting": lambda text, _rng: f"Hi, {text}",
    "typo": _mistype_one,
}


@dataclass(frozen=True)
class Answered:
    """A question and what the classifier says of it."""

    question: Question
    found: Classification

    @property
    def is_right(self) -> bool:
        return self.found.label == self.question.label


def answer(classifier: Classifier, questions: Sequence[Question]) -> list[Answered]:
    """Each question with its classification."""
    return [Answered(question, classifier.classify(question.turns)) for question in questions]


def measure(classifier: Classifier, answered: Sequence[Answered], seed: int) -> Measures:
    """Shares between 0 and 1; what is about the scope only where some are out of it."""
    inside = [one for one in answered if one.question.label not in classifier.out_of_scope]
    outside = [one for one in answered if one.question.label in classifier.out_of_scope]
    found: Measures = {
        "questions": len(answered),
        "accuracy": share(one.is_right for one in answered),
        "calibration_error": calibration_error(
            [(one.found.probability, one.is_right) for one in answered]
        ),
    }
    if inside:
        found["label_kept_under_small_changes"] = stability(classifier, inside, seed)
    if inside and outside:
        found |= _measure_scope(inside, outside)
    return found


def _measure_scope(inside: Sequence[Answered], outside: Sequence[Answered]) -> Measures:
    """Also at the bound under which a tenth of the questions in scope fall."""
    kept = sorted(one.found.in_scope_probability for one in inside)
    others = [one.found.in_scope_probability for one in outside]
    bound = kept[int(len(kept) * (1 - KEPT_IN_SCOPE))]
    right = [one.is_right and one.found.in_scope_probability >= 0.5 for one in inside]  # noqa: PLR2004 - rather in than out
    return {
        "in_scope_accuracy": share(right),
        "out_of_scope_recall": share(value < 0.5 for value in others),  # noqa: PLR2004 - as above
        "out_of_scope_recall_at_90": share(value < bound for value in others),
        "scope_auroc": auroc(kept, others),
    }


def auroc(higher: Sequence[float], lower: Sequence[float]) -> float:
    """How often one of the first is above one of the second; ties count half."""
    ordered = sorted(lower)
    wins = sum(bisect_left(ordered, one) + bisect_right(ordered, one) for one in higher)
    return wins / (2 * len(higher) * len(lower))


def calibration_error(answers: Sequence[tuple[float, bool]]) -> float:
    """Expected calibration error in 15 bins of equal width (Guo et al., 2017).

    Of each answer its probability, and whether it is right.
    """
    gaps = [0.0] * BINS
    for probability, is_right in answers:
        gaps[min(int(probability * BINS), BINS - 1)] += is_right - probability
    return sum(map(abs, gaps)) / max(1, len(answers))


def stability(classifier: Classifier, answered: Sequence[Answered], seed: int) -> float:
    """The share of labels that stay under all of the small changes, one at a time."""
    rng = random.Random(seed)
    chosen = answered if len(answered) <= MOST_QUESTIONS else rng.sample(answered, MOST_QUESTIONS)
    return share(
        all(
            classifier.classify(_change(one.question, change, rng)).label == one.found.label
            for change in SMALL_CHANGES.values()
        )
        for one in chosen
    )


def confusions(answered: Sequence[Answered]) -> list[tuple[str, str, int]]:
    """What was asked, what was named instead, and how often: the most frequent first."""
    found = Counter((one.question.label, one.found.label) for one in answered if not one.is_right)
    return [(asked, named, count) for (asked, named), count in found.most_common()]


def by_label(answered: Sequence[Answered]) -> dict[str, tuple[int, float, float]]:
    """For each label: how often it was asked, its recall, and its precision."""
    asked = Counter(one.question.label for one in answered)
    named = Counter(one.found.label for one in answered)
    right = Counter(one.found.label for one in answered if one.is_right)
    return {
        label: (asked[label], right[label] / asked[label], right[label] / max(1, named[label]))
        for label in sorted(asked)
    }


def share(values: Iterable[bool]) -> float:
    """Of true ones."""
    listed = list(values)
    return sum(listed) / max(1, len(listed))


def _change(
    question: Question, change: Callable[[str, random.Random], str], rng: random.Random
) -> list[Turn]:
    *before, last = question.turns
    return [*before, Turn(last.role, change(last.text, rng))]
