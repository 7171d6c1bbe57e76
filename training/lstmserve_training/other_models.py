"""The models that a run learns from besides its text, looked at before its own weights move."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from lstmserve_training.distillation import find_teacher, make_teacher
from lstmserve_training.errors import DataError
from lstmserve_training.importing.published import read_model

if TYPE_CHECKING:
    from pathlib import Path

    from lstmserve_training.recipe.schema import Recipe


def check_other_models(recipe: Recipe, folder: Path, work: Path) -> None:
    """Raise TrainingError where one is the run in ``work`` itself, or cannot be learned from."""
    if recipe.training.start_from:
        first = folder / recipe.training.start_from
        _require_other("training.start_from", first, work)
        read_model(first)
    if recipe.distillation is not None:
        _require_other("distillation.teacher", find_teacher(recipe, folder), work)
        make_teacher(recipe, folder, work, torch.device("cpu"))


def _require_other(key: str, model: Path, work: Path) -> None:
    if model.resolve() == work.resolve():
        raise DataError(
            f"{key}: {work} is this run itself: name another model, or give this run a folder of "
            "its own by --work"
        )
