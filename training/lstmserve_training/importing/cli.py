"""The verb ``import``, as it is typed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lstmserve_training.arguments import Work, make_run
from lstmserve_training.errors import TrainingError


def import_model(
    vocab: Annotated[
        Path, typer.Option(help="Its tokens by id: JSON, a token per line, or tokenizer.json.")
    ],
    text: Annotated[
        Path, typer.Option(help="Text to compare it with the original on, a document per line.")
    ],
    state_dict: Annotated[
        Path | None, typer.Option(help="A PyTorch state dict, or safetensors.")
    ] = None,
    torchscript: Annotated[
        Path | None, typer.Option(help="A TorchScript module, also of quantize_dynamic.")
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the model; the file's otherwise.")] = "",
    license: Annotated[str, typer.Option(help="License of the model.")] = "proprietary",  # noqa: A002 - the flag's name
    embedding: Annotated[str, typer.Option(help="Name of the embedding's weights.")] = "",
    lstm: Annotated[str, typer.Option(help="Name of the LSTM.")] = "",
    output: Annotated[str, typer.Option(help="Name of the output layer's weights.")] = "",
    tokens: Annotated[str, typer.Option(help="auto, words or characters.")] = "auto",
    start: Annotated[str, typer.Option(help="The token that begins a text.")] = "",
    lowercase: Annotated[
        bool, typer.Option("--lowercase", help="The model was trained on lower-case text.")
    ] = False,
    end: Annotated[str, typer.Option(help="The token that ends a text.")] = "",
    unknown: Annotated[str, typer.Option(help="The token of unknown words.")] = "",
    work: Work = None,
) -> None:
    """Take weights that exist: compare, quantize, evaluate and publish them.

    Writes NAME.toml, a recipe with the section [weights], and runs it.
    """
    from lstmserve_training.importing.writing import write_import_recipe
    from lstmserve_training.init.writing import make_name
    from lstmserve_training.run import locked

    if (state_dict is None) == (torchscript is None):
        raise TrainingError("give one of --state-dict and --torchscript")
    file = state_dict or torchscript or Path()
    out = Path(f"{name or make_name(file)}.toml")
    weights = {"file": str(file), "vocabulary": str(vocab), "tokens": tokens, "end": end}
    weights |= {"embedding": embedding, "lstm": lstm, "output": output, "unknown": unknown}
    weights["start"] = start
    recipe = write_import_recipe(out, out.stem, license, text, weights, lowercase=lowercase)
    typer.echo(f"wrote {out}")
    whole = make_run(recipe, out, None, work, "cpu")
    with locked(whole.work):
        if not whole.run_all():
            typer.echo("already finished: nothing has changed since")
