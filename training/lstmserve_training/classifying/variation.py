"""Questions as other people might have typed them: another version of each in every epoch."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lstmserve_bundle.template import Turn
from lstmserve_training.data.augmentation import roughen

if TYPE_CHECKING:
    import random

    from lstmserve_training.classifying.questions import Question, Questions
    from lstmserve_training.recipe.classifier import ClassifierSection
    from lstmserve_training.recipe.sections import Augmentation

ABBREVIATED_WORDS = 0.6  # of those that can be
MOST_FILLERS = 4


class Variation:
    """Frames, slips, abbreviations, fillers and follow-ups; labels stay as they are."""

    def __init__(
        self,
        augmentation: Augmentation,
        section: ClassifierSection,
        questions: Questions,
        rng: random.Random,
    ) -> None:
        self._augmentation, self._section = augmentation, section
        self._fillers, self._follow_ups = questions.fillers, questions.follow_ups
        self._others = questions.training
        self._alone = frozenset((*section.out_of_scope, *section.no_follow_ups))
        self._rng = rng

    def vary(self, question: Question) -> Question:
        """A version of a question, perhaps with turns around it; those it has stay."""
        turns = (*question.turns[:-1], self._vary(question.turns[-1]))
        if len(turns) == 1 and self._chance(self._section.earlier_questions):
            other, follow_up = self._rng.choice(self._others), self._rng.choice(self._follow_ups)
            turns = (other.turns[-1], *follow_up[:-1], *turns)
        if question.label not in self._alone and self._chance(self._section.follow_ups):
            *said, answer = self._rng.choice(self._follow_ups)
            turns = (*turns, *said, self._vary(answer))
        return replace(question, turns=turns)

    def _vary(self, turn: Turn) -> Turn:
        text = roughen(turn.text, self._augmentation, self._rng)
        if self._chance(self._section.shorthands):
            text = self._abbreviate(text)
        if self._chance(self._section.fillers):
            text = self._surround(text)
        return Turn(turn.role, text)

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
