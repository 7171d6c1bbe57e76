"""The verb ``answers``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def answers(
    source: Annotated[
        str, typer.Option("--from", metavar="MODEL/VERSION", help="The version to start from.")
    ],
    file: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="Columns label and answer; also title and outcome. A row for each variant.",
        ),
    ] = None,
    faq: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="Your own questions: columns question and answer; also outcome. A row without an "
            "answer is the question above it in other words.",
        ),
    ] = None,
    store: Annotated[Path, typer.Option(help="The model store.")] = Path("model_store"),
    min_confidence: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, metavar="P", help="Labels less probable get the fallback answer."
        ),
    ] = None,
) -> None:
    """Make the next version with your own answers: the same weights, in seconds."""
    from lstmserve_training.answers.publishing import publish_answers

    folder = publish_answers(store, source, file, faq, min_confidence)
    typer.echo(f"{folder}: published; a server that looks at the store finds it")
