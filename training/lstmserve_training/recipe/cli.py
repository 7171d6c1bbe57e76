"""The verbs ``recipes ls`` and ``recipes cp``, as they are typed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

recipes = typer.Typer(help="The recipes that ship.", no_args_is_help=True)


@recipes.command("ls")
def list_shipped() -> None:
    """List the recipes that ship, with what their models are for."""
    from lstmserve_training.recipe.reading import read_recipe
    from lstmserve_training.recipe.shipped import find_recipe, list_recipes

    for name in list_recipes():
        recipe = read_recipe(find_recipe(name) / f"{name}.toml")
        typer.echo(f"{name}: {recipe.kind}. {recipe.description}")


@recipes.command("cp")
def copy_shipped(
    name: Annotated[str, typer.Argument(help="Name of a recipe, as 'recipes ls' lists it.")],
    folder: Annotated[Path, typer.Argument(help="Folder to copy it into.")] = Path(),
) -> None:
    """Copy a recipe and what belongs to it into a folder, to be changed there."""
    from lstmserve_training.recipe.shipped import copy_recipe

    for path in copy_recipe(name, folder):
        typer.echo(f"wrote {path}")
