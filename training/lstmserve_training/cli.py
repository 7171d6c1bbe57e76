"""``lstmserve-train``: from public text to a published checkpoint, one verb per step."""

from __future__ import annotations

import os
from contextlib import suppress
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as find_version
from pathlib import Path
from typing import Annotated

import typer

from lstmserve_training.errors import TrainingError

app = typer.Typer(
    help="Train, quantize, evaluate and publish models for lstmserve, in this order of verbs: "
    "prepare, train, quantize, evaluate, publish.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Work = Annotated[Path, typer.Option("--work", help="Folder of this run: corpus and checkpoints.")]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        try:
            typer.echo(f"lstmserve-train {find_version('lstmserve')}")
        except PackageNotFoundError:
            typer.echo("lstmserve-train (run from its source, not installed)")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    pass  # a callback is typer's way to options of the command itself


@app.command()
def prepare(
    work: Work,
    data: Annotated[Path, typer.Option(help="Folder that holds the public data sets.")],
    vocabulary: Annotated[
        int, typer.Option(min=320, help="Number of tokens, a multiple of 64.")
    ] = 4096,
    seed: Seed = 1,
    fixed_reply_share: Annotated[
        float, typer.Option(min=0, max=1, help="Share of questions answered by the fixed reply.")
    ] = 0.3,
    tokenizer_of: Annotated[
        Path | None, typer.Option(help="Folder of a run whose tokenizer is used again.")
    ] = None,
) -> None:
    """Clean the data sets, train the tokenizer, write the token documents."""
    from lstmserve_training.prepare import prepare as run

    run(data, work, vocabulary, seed, fixed_reply_share, tokenizer_of)
    typer.echo(f"wrote {work}")


@app.command()
def train(
    work: Work,
    hidden: Annotated[
        int, typer.Option(min=64, help="Hidden values per layer, a multiple of 64.")
    ] = 512,
    layers: Annotated[int, typer.Option(min=1, help="Number of LSTM layers.")] = 2,
    dropout: Annotated[float, typer.Option(min=0, max=0.9, help="Dropout between layers.")] = 0.3,
    epochs: Annotated[
        int, typer.Option(min=1, help="Epochs; the learning rate falls over all.")
    ] = 10,
    rows: Annotated[int, typer.Option(min=1, help="Documents side by side in a batch.")] = 64,
    peak_learning_rate: Annotated[float, typer.Option(help="Learning rate after warm-up.")] = 2e-3,
    seed: Seed = 1,
    chat_share: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the chats that each epoch draws.")
    ] = 1.0,
    init: Annotated[
        Path | None, typer.Option(help="Folder of a run whose best weights to start from.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Device to train on; a GPU where there is one.")
    ] = None,
) -> None:
    """Train, or go on with the run that the folder holds."""
    from rich.console import Console

    from lstmserve_training.documents import load_corpus
    from lstmserve_training.model import ModelConfig
    from lstmserve_training.prepared import read_tokenizer
    from lstmserve_training.reporting import reporter_for
    from lstmserve_training.train import TrainConfig, Trainer
    from lstmserve_training.work import CORPUS_NAME, require

    corpus = load_corpus(require(work, CORPUS_NAME))
    model = ModelConfig(read_tokenizer(work).num_tokens, hidden, layers, dropout)
    config = TrainConfig(
        epochs,
        rows,
        peak_learning_rate=peak_learning_rate,
        seed=seed,
        chat_share=chat_share,
        init=str(init or ""),
    )
    with reporter_for(Console()) as reporter:
        Trainer(model, config, corpus, work, device).run(reporter)


@app.command()
def quantize(work: Work) -> None:
    """Write the best checkpoint as an INT8 TorchScript module, checked bit by bit."""
    from lstmserve_training.export import quantize_best

    path = quantize_best(work)
    typer.echo(f"wrote {path}: {path.stat().st_size:,} bytes, the bits of the eager INT8 module")


@app.command()
def evaluate(
    work: Work,
    questions: Annotated[
        int, typer.Option(min=1, help="Questions to reply to when variety is measured.")
    ] = 200,
    contexts: Annotated[
        int, typer.Option(min=1, help="Held-out chats to go on with when variety is measured.")
    ] = 200,
    speed_seconds: Annotated[
        float, typer.Option(min=0.01, help="Time for each of the six measures of speed.")
    ] = 1.5,
    seed: Seed = 1,
) -> None:
    """Compare fp32, stock INT8 and the exported module; write evaluation.json."""
    from rich.console import Console

    from lstmserve_training.evaluate import MODELS, EvaluateConfig
    from lstmserve_training.evaluate import evaluate as run
    from lstmserve_training.report import make_table

    console = Console()
    config = EvaluateConfig(questions, contexts, speed_seconds, seed)
    with console.status("reading") as status:
        measures = run(work, config, status.update)
    console.print(make_table(measures, MODELS))


@app.command()
def publish(
    work: Work,
    store: Annotated[Path, typer.Option(help="Model store; made when it does not exist.")],
    name: Annotated[str, typer.Option(help="Name of the model.")],
    version: Annotated[int, typer.Option(min=1, help="Version; must not exist yet.")],
    description: Annotated[
        str | None, typer.Option(help="What the model is for; the recipe's words otherwise.")
    ] = None,
    max_size_mb: Annotated[
        float, typer.Option(help="Largest model.pt allowed, in units of 1,000,000 bytes.")
    ] = 16.0,
) -> None:
    """Write a verified version, with its evaluation, into a model store."""
    from dataclasses import replace

    from lstmserve_training.card import SUPPORT_CARD
    from lstmserve_training.describe import Publication
    from lstmserve_training.publish import describe_default
    from lstmserve_training.publish import publish as run

    card = replace(SUPPORT_CARD, description=description) if description else SUPPORT_CARD
    target = run(Publication(work, store, name, version, card, max_size_mb))
    typer.echo(f"published {target}")
    typer.echo(describe_default(store))


def main() -> None:
    # torch's C++ side would tell everybody that its pinned quantized tensors are deprecated
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    try:
        app()
    except TrainingError as error:
        reason = str(error)
    except ModuleNotFoundError as error:  # the base install is the client alone
        reason = f"{error.name} is not installed; run: pip install 'lstmserve[training]'"
    except OSError as error:
        if error.filename is not None:  # no stream has one
            raise
        reason = f"the output cannot be written: {error.strerror}"
    else:
        return
    with suppress(OSError):  # the exit code tells that it failed, if nothing else can
        typer.echo(f"error: {reason}", err=True)
    raise SystemExit(1)
