"""Finds the run of the model that is continued, and takes over what must stay as it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lstmserve_training.errors import DataError, TrainingError
from lstmserve_training.importing.published import RUNS, find_origin, is_published, read_model
from lstmserve_training.model import OF_SHAPE
from lstmserve_training.recipe.sections import TokenizerSection
from lstmserve_training.recipe.toml import differences, flatten
from lstmserve_training.work import IMPORT_NAME

if TYPE_CHECKING:
    from lstmserve_training.model import ModelConfig
    from lstmserve_training.recipe.schema import Recipe

WITHOUT_TEXT = {"replay": 0.0, "consolidation": 0.0}


def find_earlier(recipe: Recipe, folder: Path) -> Path:
    """The folder of the run that the recipe continues, or of the version where that is gone.

    A published version is INT8, and its text is not in it: NAME/VERSION is looked up among the
    runs, where the very file that was published lies. Raises MissingInputError.
    """
    if recipe.continuation is None:
        raise TrainingError("the recipe has no section [continuation]: give --from NAME/VERSION")
    store = folder / recipe.publish.store
    return find_origin(recipe.continuation.model, folder, store, "continuation.model")


def adopt(recipe: Recipe, folder: Path, work: Path) -> tuple[Recipe, list[str]]:
    """The recipe with the tokenizer and the sizes of the model that it continues, and what changed.

    Without its text none can be replayed, and nobody knows which weights that depends on.
    """
    if recipe.continuation is None:
        return recipe, []
    earlier = find_earlier(recipe, folder)
    if earlier.resolve() == work.resolve():
        raise TrainingError(
            f"{work} is the run that is continued: give this one a folder of its own, such as "
            f"--work {RUNS}/{recipe.name}-continued"
        )
    config = _trained_config(earlier)
    model = recipe.model.model_copy(update={name: getattr(config, name) for name in OF_SHAPE})
    lines = differences(*(flatten({"model": m.model_dump()}) for m in (recipe.model, model)))
    if recipe.tokenizer.kind != "file":
        lines.append(f"tokenizer: {recipe.tokenizer.kind} -> that of the model")
    lines = [f"{line}, as {recipe.continuation.model} has it" for line in lines]
    continuation = recipe.continuation
    if is_published(earlier):
        continuation = continuation.model_copy(update=WITHOUT_TEXT)
        lines.append(
            f"{continuation.model} is continued without the run that made it, which is not in "
            f"{folder / RUNS}: its text is not there, so none of it is replayed, consolidated or "
            "measured, and much of it will be forgotten. To keep it, give the folder of that run, "
            "or that text as one more source"
        )
    taken = {
        "model": model,
        "tokenizer": TokenizerSection(kind="file", file=str(earlier)),
        "continuation": continuation,
    }
    return recipe.model_copy(update=taken), lines


def _trained_config(earlier: Path) -> ModelConfig:
    if (earlier / IMPORT_NAME).is_file():
        raise DataError(
            f"continuation.model: the weights of {earlier} were imported, and no text came with "
            "them that could be kept in mind"
        )
    config = read_model(earlier).config
    if config.family != "stacked":
        raise DataError(
            f"continuation.model: {earlier} is of the family {config.family!r}; only models of the "
            "family 'stacked' can be continued"
        )
    return config
