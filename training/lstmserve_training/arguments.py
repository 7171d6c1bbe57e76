"""Arguments that several verbs have, and what is made of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from lstmserve_training.recipe.schema import Recipe
    from lstmserve_training.run import Run

RecipePath = Annotated[Path, typer.Argument(metavar="RECIPE", help="The recipe, a TOML file.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="Keys put in force, such as training.epochs=3."),
]
Work = Annotated[
    Path | None,
    typer.Option("--work", help="Folder of the run; runs/NAME beside the recipe otherwise."),
]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 …; a GPU where there is one.")]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume/--restart",
        help="Go on where the run stopped, or set its weights aside and train anew.",
    ),
]
TeacherName = Annotated[
    str | None,
    typer.Option(
        "--teacher",
        metavar="MODEL",
        help="Learn from a model with the same tokens, too: NAME/VERSION in the store, or a "
        "folder; the key distillation.teacher.",
    ),
]
PrintConfig = Annotated[
    bool, typer.Option("--print-config", help="Print what is in force as a recipe, and end.")
]


def read(path: Path, overrides: Sequence[str] | None) -> Recipe:
    from lstmserve_training.recipe.reading import read_recipe

    return read_recipe(path, overrides or ())


def with_teacher(teacher: str | None, overrides: Sequence[str] | None) -> list[str]:
    """The keys put in force, of which a teacher that was named is one."""
    return [*([f"distillation.teacher={teacher}"] if teacher else ()), *(overrides or ())]


def make_run(
    recipe: Recipe,
    path: Path,
    overrides: Sequence[str] | None,
    work: Path | None,
    device: str | None,
) -> Run:
    from rich.console import Console

    from lstmserve_training.run import Run, describe_command

    folder = path.resolve().parent
    command = describe_command(path, overrides or ())
    where = where_of(recipe, path, work)
    recipe = in_force(recipe, path, where)
    return Run(recipe, folder, where, Console(), command=command, device=device)


def in_force(recipe: Recipe, path: Path, work: Path) -> Recipe:
    """The recipe with what it takes over from a model that it continues, which is told."""
    if recipe.continuation is None:
        return recipe
    from lstmserve_training.continuation.earlier import adopt

    taken, lines = adopt(recipe, path.resolve().parent, work)
    for line in lines:
        typer.echo(line, err=True)
    return taken


def where_of(recipe: Recipe, path: Path, work: Path | None) -> Path:
    return work or path.resolve().parent / "runs" / recipe.name
