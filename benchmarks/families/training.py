"""Trains a network in a folder of its own, by a recipe and the product's own steps."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from lstmserve_training.recipe.reading import read_recipe
from lstmserve_training.recipe.schema import Recipe
from lstmserve_training.run import Run, locked
from lstmserve_training.steps import PREPARE, QUANTIZE, TRAIN

RECIPES = Path(__file__).parent / "recipes"
PREPARED = "prepared"  # the folder that all networks of a corpus begin with


@dataclass(frozen=True)
class Trained:
    """A network that was trained and quantized: by which recipe, and where."""

    recipe: Recipe
    work: Path


def train_network(name: str, folder: Path, family: str, keys: Sequence[str]) -> Trained:
    """Prepare, train and quantize by the recipe of a corpus; what is done is skipped.

    ``folder`` holds the corpus, and gets a folder for each network. Text is prepared once for all.
    """
    recipe = read_recipe(RECIPES / f"{name}.toml", keys)
    prepared, work = folder / PREPARED, folder / family
    console = Console()
    with locked(prepared):
        Run(recipe, folder, prepared, console).take(PREPARE)
    with locked(work):
        if not (work / "steps.json").exists():
            shutil.copytree(prepared, work, dirs_exist_ok=True)
        console.print(f"{name}, {family}", style="bold")
        run = Run(recipe, folder, work, console, device="cpu")
        for step in (PREPARE, TRAIN, QUANTIZE):
            run.take(step)
    return Trained(recipe, work)
