"""The verb ``init``, as it is typed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lstmserve_training.errors import TrainingError


def init(
    kind: Annotated[
        str,
        typer.Argument(
            help="replies (questions and answers), conversations, lines (headlines, names) or text "
            "(a book, poems)."
        ),
    ],
    data: Annotated[Path, typer.Argument(metavar="FILE", help="CSV, TSV, JSON lines, text …")],
    output: Annotated[
        Path | None, typer.Option(help="The recipe's path; FILE's name with .toml otherwise.")
    ] = None,
) -> None:
    """Write a commented recipe for a file, after a look at what is in it."""
    from typing import get_args

    from lstmserve_training.init.writing import make_name, write_recipe
    from lstmserve_training.recipe.sections import Kind

    if kind not in get_args(Kind):
        raise TrainingError(f"{kind!r} is no kind; there are: {', '.join(get_args(Kind))}")
    out = output or data.parent / f"{make_name(data)}.toml"
    notes: list[str] = []
    recipe = write_recipe(kind, data, out, notes.append)  # type: ignore[arg-type]
    source = recipe.sources[0]
    columns = {k: v for k, v in source.columns.model_dump(exclude_defaults=True).items() if v}
    typer.echo(f"wrote {out}")
    if columns:
        typer.echo("columns: " + ", ".join(f"{part} is {name!r}" for part, name in columns.items()))
    for note in notes:
        typer.echo(f"check: {note}")
    typer.echo(f"look at it, then: lstmserve-train run {out}")
