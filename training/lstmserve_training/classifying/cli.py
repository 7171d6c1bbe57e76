"""The verb ``classifier``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lstmserve_training.arguments import Overrides, Work, make_run, read
from lstmserve_training.errors import TrainingError


def classifier(
    overrides: Overrides = None,
    *,
    source: Annotated[
        str, typer.Option("--from", metavar="MODEL/VERSION", help="The version to start from.")
    ],
    recipe: Annotated[
        Path, typer.Option(metavar="RECIPE", help="The recipe, of which [classifier] is read.")
    ],
    store: Annotated[Path, typer.Option(help="The model store.")] = Path("model_store"),
    work: Work = None,
) -> None:
    """Make the next version with a classifier trained anew: the same weights, in minutes."""
    from lstmserve_training.classifying.publishing import publish_classifier
    from lstmserve_training.run import describe_command, locked
    from lstmserve_training.steps import CLASSIFY
    from lstmserve_training.successor import open_version

    given = read(recipe, overrides)
    if given.classifier is None:
        raise TrainingError(f"{recipe}: has no section [classifier]")
    open_version(store, source)  # before minutes are spent
    run = make_run(given, recipe, overrides, work, None)
    with locked(run.work):
        run.take(CLASSIFY)
        command = describe_command(recipe, overrides or ())
        folder = publish_classifier(store, source, given, run.work, command)
    typer.echo(f"{folder}: published; a server that looks at the store finds it")
