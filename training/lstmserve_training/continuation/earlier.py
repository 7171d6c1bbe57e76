"""Finds the run of the model that is continued, and takes over what must stay as it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lstmserve_bundle.bundle import describe_file
from lstmserve_bundle.errors import BundleError
from lstmserve_bundle.manifest import MANIFEST_NAME, parse_manifest
from lstmserve_training.checkpoint import load_best
from lstmserve_training.errors import DataError, MissingInputError, TrainingError
from lstmserve_training.recipe.sections import TokenizerSection
from lstmserve_training.work import BEST_NAME, MODEL_NAME

if TYPE_CHECKING:
    from lstmserve_training.model import ModelConfig
    from lstmserve_training.recipe.schema import Recipe

RUNS = "runs"


@dataclass(frozen=True)
class Change:
    """A key of the recipe that is not as it was written."""

    name: str
    written: object
    taken: object


def find_earlier(recipe: Recipe, folder: Path) -> Path:
    """The folder of the run that the recipe continues.

    A published version is INT8, and its text is not in it: NAME/VERSION is looked up among the
    runs, where the very file that was published lies. Raises MissingInputError.
    """
    if recipe.continuation is None:
        raise TrainingError("the recipe has no section [continuation]: give --from NAME/VERSION")
    wanted = recipe.continuation.model
    manifest = folder / recipe.publish.store / wanted / MANIFEST_NAME
    if manifest.is_file():
        return _run_of(manifest, wanted, folder)
    run = folder / wanted
    if (run / BEST_NAME).is_file():
        return run
    raise MissingInputError(
        f"continuation.model: {wanted!r} is neither NAME/VERSION in the store "
        f"{folder / recipe.publish.store} nor the folder of a run that was trained"
    )


def adopt(recipe: Recipe, folder: Path, work: Path) -> tuple[Recipe, list[Change]]:
    """The recipe with the tokenizer and the sizes of the model that it continues."""
    earlier = find_earlier(recipe, folder)
    if earlier.resolve() == work.resolve():
        raise TrainingError(
            f"{work} is the run that is continued: give this one a folder of its own, such as "
            f"--work {RUNS}/{recipe.name}-continued"
        )
    config = _trained_config(earlier)
    sizes = {"hidden": config.hidden, "layers": config.layers}
    changes = [
        Change(f"model.{name}", getattr(recipe.model, name), taken)
        for name, taken in sizes.items()
        if getattr(recipe.model, name) != taken
    ]
    tokenizer = TokenizerSection(kind="file", file=str(earlier))
    if recipe.tokenizer.kind != "file":
        changes.append(Change("tokenizer", recipe.tokenizer.kind, "that of the model"))
    model = recipe.model.model_copy(update=sizes)
    return recipe.model_copy(update={"model": model, "tokenizer": tokenizer}), changes


def _run_of(manifest_path: Path, wanted: str, folder: Path) -> Path:
    try:
        manifest = parse_manifest(manifest_path.read_text(encoding="utf-8"), str(manifest_path))
    except (OSError, BundleError) as error:
        raise DataError(f"continuation.model: {error}") from None
    digest = manifest.files[MODEL_NAME].sha256
    for path in sorted((folder / RUNS).glob(f"*/{MODEL_NAME}")):
        if (path.parent / BEST_NAME).is_file() and describe_file(path).sha256 == digest:
            return path.parent
    raise MissingInputError(
        f"continuation.model: {wanted} is INT8, so it is continued from the run that made it, and "
        f"none in {folder / RUNS} did; give the folder of that run instead"
    )


def _trained_config(earlier: Path) -> ModelConfig:
    config = load_best(earlier).model.config
    if not config.is_tied:
        raise DataError(
            f"continuation.model: the weights of {earlier} were imported, and no text came with "
            "them that could be kept in mind"
        )
    return config
