"""A classifier's scores as probabilities that mean what they say."""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum
from operator import itemgetter
from typing import TYPE_CHECKING

from lstmserve_bundle.exact_math import sigmoid, softmax

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lstmserve_bundle.classifier_file import ClassifierHeader


@dataclass(frozen=True)
class Classification:
    """What was asked; ``alternatives`` are all other labels, best first.

    ``in_scope_probability`` tells how likely it is that the question is one of those that the model
    is for. It is 1 where training had no examples of others.
    """

    label: str
    probability: float
    alternatives: tuple[tuple[str, float], ...]
    in_scope_probability: float


class Calibration:
    """What was learned on held-out questions: a temperature, and a regression for the scope."""

    def __init__(self, header: ClassifierHeader) -> None:
        self._labels = header.labels
        self._temperature = header.temperature
        self._scope = header.scope
        out_of_scope = set(header.out_of_scope)
        self._inside = [n for n, label in enumerate(self._labels) if label not in out_of_scope]
        self._outside = [n for n, label in enumerate(self._labels) if label in out_of_scope]

    def tell(self, scores: Sequence[float], known_share: float) -> Classification:
        """The classification of scores in nats: one for each label, and one for the scope."""
        of_labels = [score / self._temperature for score in scores[: len(self._labels)]]
        probabilities = softmax(of_labels)
        in_scope = self._tell_scope(scores, probabilities, known_share)
        if self._outside:
            self._share_out(probabilities, self._inside, in_scope)
            self._share_out(probabilities, self._outside, 1.0 - in_scope)
        pairs = zip(self._labels, probabilities, strict=True)
        (label, probability), *others = sorted(pairs, key=itemgetter(1), reverse=True)
        return Classification(label, probability, tuple(others), in_scope)

    @staticmethod
    def _share_out(probabilities: list[float], places: Sequence[int], total: float) -> None:
        """Labels in scope are together as likely as it is that one of them fits; so are others."""
        factor = total / fsum(probabilities[n] for n in places)
        for n in places:
            probabilities[n] *= factor

    def _tell_scope(
        self, scores: Sequence[float], probabilities: Sequence[float], known_share: float
    ) -> float:
        scope = self._scope
        if scope is None:
            return 1.0
        features = scope_features(scores, probabilities, self._inside, self._outside, known_share)
        weights = (scope.output, scope.margin, scope.probability, scope.known)
        score = scope.bias
        for weight, feature in zip(weights, features, strict=True):
            score += weight * feature
        return sigmoid(score)


def scope_features(
    scores: Sequence[float],
    probabilities: Sequence[float],
    inside: Sequence[int],
    outside: Sequence[int],
    known_share: float,
) -> tuple[float, float, float, float]:
    """What tells whether a question is in scope, in the order of the header's weights."""
    margin = max(scores[n] for n in inside) - max(scores[n] for n in outside)
    return scores[-1], margin, max(probabilities[n] for n in inside), known_share
