"""The recipes that ship: a folder each, with a recipe and what belongs to it."""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path

from lstmserve_training.errors import MissingInputError, TrainingError

HELD_OUT = "heldout"


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
    source = find_recipe(name)
    whole = (path.relative_to(source) for path in sorted(source.rglob("*")) if path.is_file())
    # held-out sets are for judging, and a copy of a recipe is for training
    found = [path for path in whole if path.parts[0] != HELD_OUT]
    for path in found:
        if (folder / path).exists():
            raise TrainingError(f"{folder / path} exists: copy into another folder")
    for path in found:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / path, folder / path)
    return [folder / path for path in found]


def _folder() -> Path:
    return Path(str(files("lstmserve_training"))) / "recipes"
