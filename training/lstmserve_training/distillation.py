"""What another model thinks may follow, as a target beside the text itself.

A small network that is told how likely a larger one finds each token learns more of a text than
the text alone says (Hinton et al., 2015). Both read the same tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lstmserve_training.errors import DataError, TrainingError
from lstmserve_training.importing.published import find_origin, read_model
from lstmserve_training.work import TOKENIZER_NAME, require

if TYPE_CHECKING:
    from pathlib import Path

    from lstmserve_training.model import LanguageModel, State
    from lstmserve_training.recipe.schema import Recipe
    from lstmserve_training.recipe.sections import Distillation


class Teacher:
    """A trained model that reads along, segment by segment."""

    def __init__(self, model: LanguageModel, section: Distillation, device: torch.device) -> None:
        self.section = section
        self._model = model.to(device).eval().requires_grad_(requires_grad=False)
        self._state: State | None = None

    def begin(self, rows: int) -> None:
        """Read new documents, so many side by side, from their first tokens on."""
        self._state = self._model.zero_state(rows)

    def cost(self, inputs: Tensor, logits: Tensor, weights: Tensor) -> Tensor:
        """Return how far a student's logits [rows, steps, tokens] are from the teacher's, in nats.

        It is the divergence at the section's temperature, times its square, so that gradients
        keep their size; the mean over the tokens that have a weight [rows, steps].
        """
        with torch.no_grad():
            own, self._state = self._model(inputs, self._state)
        scale = 1 / self.section.temperature
        divergence = nn.functional.kl_div(
            (logits.float() * scale).log_softmax(dim=-1),
            (own.float() * scale).log_softmax(dim=-1),
            reduction="none",
            log_target=True,
        ).sum(dim=-1)
        return (divergence * weights).sum() / weights.sum().clamp(min=1.0) / scale**2


def find_teacher(recipe: Recipe, folder: Path) -> Path:
    """Return the folder of the model that a recipe learns from; raises MissingInputError.

    Of a version it is the run that made it, where that is there.
    """
    if recipe.distillation is None:
        raise TrainingError("the recipe has no section [distillation]: give --teacher NAME/VERSION")
    store = folder / recipe.publish.store
    return find_origin(recipe.distillation.teacher, folder, store, "distillation.teacher")


def make_teacher(recipe: Recipe, folder: Path, work: Path, device: torch.device) -> Teacher | None:
    """Return the teacher of a run in ``work``, if it has one.

    Raises DataError where that has other tokens.
    """
    if recipe.distillation is None:
        return None
    where = find_teacher(recipe, folder)
    own = require(work, TOKENIZER_NAME).read_bytes()
    if require(where, TOKENIZER_NAME).read_bytes() != own:
        raise DataError(
            f"distillation.teacher: {where} has other tokens than this run: take its tokenizer, "
            f"tokenizer.kind=file tokenizer.file={where}"
        )
    return Teacher(read_model(where), recipe.distillation, device)
