"""Fits a classifier's network to questions and their labels."""

from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from lstmserve_training.classifying.network import Network, hash_blocks, index_blocks
from lstmserve_training.classifying.variation import Variation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from lstmserve_training.classifying.questions import Question, Questions
    from lstmserve_training.recipe.classifier import ClassifierSection
    from lstmserve_training.recipe.schema import Recipe

WARM_UP_STEPS = 100
LOWEST_RATE = 0.02
SCOPE_WEIGHT = 0.3  # of the loss of telling what is in scope, beside that of the labels


@dataclass(frozen=True)
class Learned:
    """A network, the n-grams whose rows it has (ascending), and the labels of its outputs."""

    network: Network
    hashes: list[int]
    labels: list[str]


class Fitting:
    """One run over the questions, epoch by epoch."""

    def __init__(
        self,
        recipe: Recipe,
        section: ClassifierSection,
        training: Sequence[Question],
        questions: Questions,
    ) -> None:
        """Fit to ``training``; all questions tell the labels, and what is put around them."""
        labels = questions.labels
        self._section, self._questions, self._labels = section, training, labels
        self._rng = random.Random(recipe.seed)
        torch.manual_seed(recipe.seed)
        self._variation = Variation(recipe.augmentation, section, questions, self._rng)
        self._hashes = self._choose_ngrams()
        self._index = {value: row for row, value in enumerate(self._hashes)}
        self._number = {label: n for n, label in enumerate(labels)}
        outputs = len(labels) + bool(section.out_of_scope)
        self._network = Network(section, len(self._hashes), outputs)

    def fit(self, say: Callable[[str], None]) -> Learned:
        """Train to the end; ``say`` is told the loss of each epoch."""
        section, network = self._section, self._network
        # one pass over the rows takes 2 ms a step instead of 11 (30,000 n-grams of 48 values)
        optimizer = torch.optim.AdamW(
            network.parameters(), section.learning_rate, weight_decay=0, fused=True
        )
        steps = section.epochs * -(-len(self._questions) // section.rows)
        warm_up = min(WARM_UP_STEPS, 1 + steps // 10)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer,
            lambda step: min(1.0, (step + 1) / warm_up) * max(LOWEST_RATE, 1 - step / steps),
        )
        network.train()
        started = time.monotonic()
        for epoch in range(1, section.epochs + 1):
            total = 0.0
            for questions in self._batches():
                loss = self._loss(questions)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
                total += float(loss.detach()) * len(questions)
            seconds = time.monotonic() - started
            loss_text = f"loss {total / len(self._questions):.3f}"
            say(f"classify: epoch {epoch} of {section.epochs}, {loss_text}, {seconds:.0f} s")
        return Learned(network.eval(), self._hashes, self._labels)

    def _choose_ngrams(self) -> list[int]:
        """The most frequent n-grams, also of versions, in their order."""
        counts: Counter[int] = Counter()
        for question in dict.fromkeys(self._questions):
            versions = (question, self._variation.vary(question))
            blocks = [block for version in versions for block in hash_blocks(version.turns)]
            counts.update({value for block in blocks for value in block})
        found = counts.most_common(self._section.ngrams)
        return sorted(value for value, count in found if count >= self._section.min_count)

    def _batches(self) -> Sequence[list[Question]]:
        order = list(self._questions)
        self._rng.shuffle(order)
        rows = self._section.rows
        return [order[start : start + rows] for start in range(0, len(order), rows)]

    def _loss(self, questions: Sequence[Question]) -> Tensor:
        versions = [self._variation.vary(question) for question in questions]
        batch = [index_blocks(hash_blocks(version.turns), self._index) for version in versions]
        scores = self._network(batch)
        wanted = torch.tensor([self._number[question.label] for question in questions])
        loss = functional.cross_entropy(
            scores[:, : len(self._labels)],
            wanted,
            label_smoothing=self._section.label_smoothing,
        )
        if not self._section.out_of_scope:
            return loss
        out_of_scope = self._section.out_of_scope
        is_inside = torch.tensor([float(q.label not in out_of_scope) for q in questions])
        scope = functional.binary_cross_entropy_with_logits(scores[:, -1], is_inside)
        return loss + SCOPE_WEIGHT * scope
