"""Questions as other people might have typed them: another version of each in every epoch."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lstmserve_bundle.template import Turn
from lstmserve_training.data.augmentation import roughen

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from lstmserve_training.classifying.questions import Question
    from lstmserve_training.recipe.classifier import ClassifierSection
    from lstmserve_training.recipe.sections import Augmentation

ABBREVIATED_WORDS = 0.6  # of those that can be
MOST_FILLERS = 4


class Variation:
    """Frames, slips, abbreviations and fillers; labels stay as they are."""

    def __init__(
        self,
        augmentation: Augmentation,
        section: ClassifierSection,
        fillers: Sequence[str],
        rng: random.Random,
    ) -> None:
        self._augmentation, self._section = augmentation, section
        self._fillers, self._rng = fillers, rng

    def vary(self, question: Question) -> Question:
        """A version of a question; what was said before it stays."""
        *before, last = question.turns
        text = roughen(last.text, self._augmentation, self._rng)
        if self._chance(self._section.shorthands):
            text = self._abbreviate(text)
        if self._chance(self._section.fillers):
            text = self._surround(text)
        return replace(question, turns=(*before, Turn(last.role, text)))

    def _abbreviate(self, text: str) -> str:
        words = text.split(" ")
        return " ".join(
            self._rng.choice(short)
            if (short := self._section.shorthand.get(word.lower().strip("?.,!")))
            and self._chance(ABBREVIATED_WORDS)
            else word
            for word in words
        )

    def _surround(self, text: str) -> str:
        fillers = self._rng.choices(self._fillers, k=self._rng.randint(1, MOST_FILLERS))
        at = self._rng.randint(0, len(fillers))
        return " ".join([*fillers[:at], text, *fillers[at:]])

    def _chance(self, share: float) -> bool:
        return share > 0 and self._rng.random() < share
