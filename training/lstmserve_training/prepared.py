"""What ``prepare`` left in a run's folder, read back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lstmserve_bundle.manifest import TemplateManifest
from lstmserve_bundle.tokenizer import Tokenizer
from lstmserve_training.support import Question
from lstmserve_training.work import QUESTIONS_NAME, TEMPLATE_NAME, TOKENIZER_NAME, require

if TYPE_CHECKING:
    from pathlib import Path


def read_tokenizer(work: Path) -> Tokenizer:
    """The tokenizer that ``prepare`` wrote."""
    return Tokenizer.from_file(require(work, TOKENIZER_NAME))


def read_template(work: Path) -> TemplateManifest:
    """The template that ``prepare`` wrote."""
    return TemplateManifest.model_validate_json(require(work, TEMPLATE_NAME).read_text())


def read_questions(work: Path) -> list[Question]:
    """The validation questions that ``prepare`` wrote, with their intents."""
    rows = json.loads(require(work, QUESTIONS_NAME).read_text(encoding="utf-8"))
    return [Question(**row) for row in rows]
