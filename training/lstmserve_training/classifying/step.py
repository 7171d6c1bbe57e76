"""The step ``classify``: from questions and their labels to ``classifier.bin``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lstmserve_bundle.bundle import describe_file
from lstmserve_bundle.classifier import Classifier
from lstmserve_bundle.classifier_file import CLASSIFIER_NAME, ClassifierFile
from lstmserve_training.classifying.calibrating import calibrate
from lstmserve_training.classifying.export import calibrated, export, named
from lstmserve_training.classifying.fitting import Fitting
from lstmserve_training.classifying.measuring import answer, by_label, confusions, measure
from lstmserve_training.classifying.questions import read_questions
from lstmserve_training.work import CLASSIFICATION_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from lstmserve_training.classifying.measuring import Answered
    from lstmserve_training.classifying.questions import Question, Questions
    from lstmserve_training.recipe.classifier import ClassifierSection
    from lstmserve_training.recipe.schema import Recipe

HELD_OUT, VALIDATION = "held_out", "validation"
SHOWN_CONFUSIONS = 30


def classify(
    recipe: Recipe,
    section: ClassifierSection,
    folder: Path,
    work: Path,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Write ``classifier.bin`` and what was measured of it; return the report.

    It is trained twice: without what is held out, to measure it and to learn how sure it may be;
    then with everything, which is what is written.
    """
    questions = read_questions(recipe, section, folder)
    first = _fit(recipe, section, questions.training, questions, say)
    held_out, validation = questions.held_out, questions.validation
    temperature, scope = calibrate(
        Classifier(first), held_out, validation, section.expected_out_of_scope
    )
    trial = Classifier(calibrated(first, temperature, scope))
    report: dict[str, Any] = {"sources": questions.report, "sets": {}}
    report["sets"][HELD_OUT] = _report(trial, held_out, recipe.seed)
    if validation:
        report["sets"][VALIDATION] = _report(trial, validation, recipe.seed)
    everything = [*questions.training, *questions.held_out]
    say("classify: once more, with what was held out")
    whole = _fit(recipe, section, everything, questions, say)
    work.mkdir(parents=True, exist_ok=True)
    path = work / CLASSIFIER_NAME
    final = calibrated(whole, temperature, scope)
    path.write_bytes(named(final, recipe.label_name).to_bytes())
    classifier = Classifier(final)
    for name, asked in questions.asked.items():
        report["sets"][name] = _report(classifier, asked, recipe.seed)
    report |= _describe(questions, classifier, path)
    text = json.dumps(report, indent=1, ensure_ascii=False)
    (work / CLASSIFICATION_NAME).write_text(text, encoding="utf-8")
    return report


def _fit(
    recipe: Recipe,
    section: ClassifierSection,
    training: Sequence[Question],
    questions: Questions,
    say: Callable[[str], None],
) -> ClassifierFile:
    return export(Fitting(recipe, section, training, questions).fit(say), section)


def _report(classifier: Classifier, questions: Sequence[Question], seed: int) -> dict[str, Any]:
    answered: list[Answered] = answer(classifier, questions)
    return {
        "measures": measure(classifier, answered, seed),
        "confusions": confusions(answered)[:SHOWN_CONFUSIONS],
        "labels": by_label(answered),
    }


def _describe(questions: Questions, classifier: Classifier, path: Path) -> dict[str, Any]:
    return {
        "trained_on": len(questions.training) + len(questions.held_out),
        "labels": len(classifier.labels),
        "bytes": path.stat().st_size,
        "sha256": describe_file(path).sha256,
    }
