"""Makes the next version of a model: another classifier, the same weights."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from lstmserve_bundle.classifier import Classifier
from lstmserve_bundle.classifier_file import CLASSIFIER_NAME
from lstmserve_training.card import OF_CLASSIFIER as MEASURED
from lstmserve_training.describe import OF_CLASSIFIER, describe_classifier, describe_questions
from lstmserve_training.errors import PublishError
from lstmserve_training.successor import open_version, publish_successor
from lstmserve_training.work import require

if TYPE_CHECKING:
    from pathlib import Path

    from lstmserve_bundle import Bundle
    from lstmserve_training.recipe.schema import Recipe

SHOWN_LABELS = 5


def publish_classifier(
    store: Path, source: str, recipe: Recipe, work: Path, command: str = ""
) -> Path:
    """Write the next version of MODEL/VERSION with a run's classifier; return its folder.

    Answers and questions of the version stay. Raises PublishError where the classifier names
    what the version has neither a token nor words of its own for.
    """
    bundle = open_version(store, source)
    path = require(work, CLASSIFIER_NAME)
    _check_labels(bundle, Classifier.read(path), recipe.label_name)
    training, evaluation = bundle.manifest.training, bundle.manifest.evaluation
    data = [each for each in training.data if not each.use.startswith(OF_CLASSIFIER)]
    data += describe_questions(recipe, work)
    measures = {key: value for key, value in evaluation.items() if not key.startswith(MEASURED)}

    def write(folder: Path) -> list[str]:
        shutil.copyfile(path, folder / CLASSIFIER_NAME)
        return [CLASSIFIER_NAME]

    return publish_successor(
        store,
        bundle,
        write,
        {"classifier_over": source, "classifier_recipe": command},
        training=training.model_copy(update={"data": data}),
        evaluation=measures | describe_classifier(recipe, work),
    )


def _check_labels(bundle: Bundle, classifier: Classifier, label_name: str) -> None:
    answers = bundle.answers.labels if bundle.answers is not None else {}
    known = {
        *bundle.template.id_of_label,
        *(name for name, each in answers.items() if each.answers),
    }
    strange = [label for label in classifier.labels if label not in known]
    if bundle.template.id_of_label and strange:
        shown = ", ".join(strange[:SHOWN_LABELS])
        raise PublishError(
            f"the version has neither a token nor answers for {shown}: its labels are those that "
            f"its network was trained on, as {label_name}:NAME"
        )
