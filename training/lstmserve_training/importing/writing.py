"""Writes the recipe of a model that exists, so that it is quantized, measured and published."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from lstmserve_training.errors import TrainingError
from lstmserve_training.init.writing import relative_path
from lstmserve_training.recipe.reading import check
from lstmserve_training.recipe.toml import write_value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lstmserve_training.recipe.schema import Recipe


def write_import_recipe(
    out: Path, name: str, license_: str, text: Path, weights: Mapping[str, str], *, lowercase: bool
) -> Recipe:
    """Write it; raises TrainingError where another recipe of that name is there."""
    folder = out.resolve().parent
    content = make_text(
        name,
        license_,
        relative_path(text, folder),
        {
            key: relative_path(Path(value), folder) if key in ("file", "vocabulary") else value
            for key, value in weights.items()
            if value
        },
        lowercase=lowercase,
    )
    recipe = check(tomllib.loads(content), str(out))
    if out.exists() and out.read_text(encoding="utf-8") != content:
        raise TrainingError(
            f"{out} exists and says something else: run it with 'lstmserve-train run {out}', or "
            "give another name with --name"
        )
    out.write_text(content, encoding="utf-8")
    return recipe


def make_text(
    name: str, license_: str, text: str, weights: Mapping[str, str], *, lowercase: bool
) -> str:
    lines = [
        "# Recipe of a model that exists. Make it again: lstmserve-train run THIS_FILE",
        "",
        f"name = {write_value(name)}",
        'kind = "text"',
        'description = ""',
        f"license = {write_value(license_)}",
        "",
        "[weights]",
        *(f"{key} = {write_value(value)}" for key, value in weights.items()),
        "",
        "[[sources]]                       # what it is compared with the original on",
        'name = "text for the comparison"',
        f"files = {write_value([text])}",
        'use = "validation"',
        'separator = "line"',
        "",
        *(("[tokenizer]", "lowercase = true", "") if lowercase else ()),
        "[sampling]",
        "temperature = 0.7",
        "max_tokens = 96",
        "",
        "[publish]",
        'store = "model_store"',
        "",
    ]
    return "\n".join(lines)
