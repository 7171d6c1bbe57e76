"""The folder of one run: what each step leaves there for the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lstmserve_bundle.classifier_file import CLASSIFIER_NAME
from lstmserve_bundle.manifest import TemplateManifest
from lstmserve_bundle.tokenizer import Tokenizer
from lstmserve_training.errors import MissingInputError

if TYPE_CHECKING:
    from pathlib import Path

RECIPE_NAME = "recipe.toml"
CORPUS_NAME = "corpus.pt"
TOKENIZER_NAME = "tokenizer.json"
TEMPLATE_NAME = "template.json"
PROMPTS_NAME = "prompts.json"
LABELED_NAME = "labeled.jsonl"
PREPARATION_NAME = "prepare.json"
BEST_NAME = "best.pt"
LAST_NAME = "last.pt"
LOG_NAME = "training.jsonl"
MODEL_NAME = "model.pt"
EVALUATION_NAME = "evaluation.json"
IMPORT_NAME = "import.json"
REWRITES_NAME = "rewrites.json"
FISHER_NAME = "fisher.pt"
EARLIER_NAME = "earlier.json"
CLASSIFICATION_NAME = "classification.json"
PUBLISHED_NAME = "published.json"
STEPS_NAME = "steps.json"

_STEPS = {
    BEST_NAME: "train",
    LAST_NAME: "train",
    EARLIER_NAME: "train",
    MODEL_NAME: "quantize",
    EVALUATION_NAME: "evaluate",
    CLASSIFIER_NAME: "classify",
    CLASSIFICATION_NAME: "classify",
}


def require(work: Path, name: str) -> Path:
    """The path of a file in the folder; raises MissingInputError naming the step that makes it."""
    path = work / name
    if path.is_file():
        return path
    step = _STEPS.get(name, "prepare")
    raise MissingInputError(
        f"{path} is missing: run 'lstmserve-train {step} RECIPE' first, or 'run RECIPE' for all"
    )


def read_tokenizer(work: Path) -> Tokenizer:
    """The tokenizer that ``prepare`` wrote."""
    return Tokenizer.from_file(require(work, TOKENIZER_NAME))


def read_template(work: Path) -> TemplateManifest:
    """The template that ``prepare`` wrote."""
    text = require(work, TEMPLATE_NAME).read_text(encoding="utf-8")
    return TemplateManifest.model_validate_json(text)
