"""Makes probabilities mean what they say, by questions that were not trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from lstmserve_bundle.calibration import scope_features
from lstmserve_bundle.classifier_file import ScopeHeader
from lstmserve_bundle.exact_math import softmax
from lstmserve_training.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from lstmserve_bundle.classifier import Classifier
    from lstmserve_training.classifying.questions import Question

STEPS = 200
SHRINKAGE = 1e-3  # of the regression's weights, as a part of the loss


def calibrate(
    classifier: Classifier,
    held_out: Sequence[Question],
    validation: Sequence[Question],
    expected_out_of_scope: float,
) -> tuple[float, ScopeHeader | None]:
    """The temperature and the regression that fit the questions best.

    What is held out is worded, and labeled, like what was trained on, and validation questions
    may not be: where there are both, each kind counts for a half of the temperature.
    """
    questions = [*held_out, *validation]
    read = [classifier.score(question.turns) for question in questions]
    numbers = {label: n for n, label in enumerate(classifier.labels)}
    wanted = torch.tensor([numbers[question.label] for question in questions])
    scores = torch.tensor([found for found, _ in read], dtype=torch.double)
    weights = torch.tensor(_halves(len(held_out), len(validation)), dtype=torch.double)
    temperature = _fit_temperature(scores[:, : len(numbers)], wanted, weights)
    is_inside = torch.tensor(
        [question.label not in classifier.out_of_scope for question in questions]
    )
    if not classifier.out_of_scope:
        return temperature, None
    if is_inside.all() or not is_inside.any():
        raise DataError(
            "all held-out questions of the classifier are in scope, or none is: give more that are "
            "out of it, or a source of use 'validation'"
        )
    inside = [n for label, n in numbers.items() if label not in classifier.out_of_scope]
    outside = [n for label, n in numbers.items() if label in classifier.out_of_scope]
    features = [
        scope_features(
            found,
            softmax([score / temperature for score in found[: len(numbers)]]),
            inside,
            outside,
            known,
        )
        for found, known in read
    ]
    rows = torch.tensor(features, dtype=torch.double)
    return temperature, _fit_scope(rows, is_inside.double(), expected_out_of_scope)


def _halves(num_held_out: int, num_validation: int) -> list[float]:
    """The weight of each question; those of a kind weigh as much as those of the other."""
    return [1 / max(1, num_held_out)] * num_held_out + [1 / max(1, num_validation)] * num_validation


def _fit_temperature(scores: Tensor, wanted: Tensor, weights: Tensor) -> float:
    logarithm = torch.zeros((), dtype=torch.double, requires_grad=True)

    def loss() -> Tensor:
        losses = functional.cross_entropy(scores / logarithm.exp(), wanted, reduction="none")
        return (losses * weights).sum() / weights.sum()

    _minimize(logarithm, loss)
    return min(max(float(logarithm.detach().exp()), 0.05), 100.0)


def _fit_scope(features: Tensor, is_inside: Tensor, expected_out_of_scope: float) -> ScopeHeader:
    """Logistic regression, weighted as if that share of the questions were out of scope."""
    mean, deviation = features.mean(0), features.std(0).clamp_min(1e-6)
    rows = (features - mean) / deviation
    found_outside = 1 - is_inside.mean()
    weights = torch.where(
        is_inside > 0,
        (1 - expected_out_of_scope) / (1 - found_outside),
        expected_out_of_scope / found_outside,
    )
    parameters = torch.zeros(rows.shape[1] + 1, dtype=torch.double, requires_grad=True)

    def loss() -> Tensor:
        predicted = rows @ parameters[:-1] + parameters[-1]
        found = functional.binary_cross_entropy_with_logits(predicted, is_inside, weights)
        return found + SHRINKAGE * (parameters[:-1] ** 2).sum()

    _minimize(parameters, loss)
    slopes = (parameters[:-1] / deviation).detach()
    bias = float((parameters[-1] - (slopes * mean).sum()).detach())
    output, margin, probability, known = slopes.tolist()
    return ScopeHeader(
        bias=bias, output=output, margin=margin, probability=probability, known=known
    )


def _minimize(parameters: Tensor, loss: Callable[[], Tensor]) -> None:
    optimizer = torch.optim.LBFGS([parameters], max_iter=STEPS, line_search_fn="strong_wolfe")

    def step() -> Tensor:
        optimizer.zero_grad()
        found = loss()
        found.backward()  # type: ignore[no-untyped-call]
        return found

    optimizer.step(step)  # type: ignore[no-untyped-call]
