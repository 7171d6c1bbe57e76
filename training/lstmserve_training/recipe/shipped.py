"""The recipes that ship: a folder each, with a recipe and what belongs to it."""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path

from lstmserve_training.errors import MissingInputError, TrainingError


def list_recipes() -> list[str]:
    """Their names."""
    return sorted(path.name for path in _folder().iterdir() if path.is_dir())


def find_recipe(name: str) -> Path:
    """The folder of a recipe; raises MissingInputError."""
    folder = _folder() / name
    if name not in list_recipes():
        raise MissingInputError(f"no recipe {name!r} ships; there are: {', '.join(list_recipes())}")
    return folder


def copy_recipe(name: str, folder: Path) -> list[Path]:
    """Copy a recipe's files into a folder; raises TrainingError rather than overwrite one."""
    # folders stay: held-out sets are for judging, and a copy of a recipe is for training
    found = sorted(path for path in find_recipe(name).iterdir() if path.is_file())
    for path in found:
        if (folder / path.name).exists():
            raise TrainingError(f"{folder / path.name} exists: copy into another folder")
    folder.mkdir(parents=True, exist_ok=True)
    return [Path(shutil.copyfile(path, folder / path.name)) for path in found]


def _folder() -> Path:
    return Path(str(files("lstmserve_training"))) / "recipes"
