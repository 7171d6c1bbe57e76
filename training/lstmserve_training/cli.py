"""``lstmserve-train``: from anybody's text to a published model, by one file and one command."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lstmserve_training.answers.cli import answers
from lstmserve_training.arguments import (
    Device,
    Overrides,
    PrintConfig,
    RecipePath,
    Resume,
    TeacherName,
    Work,
    in_force,
    make_run,
    read,
    where_of,
    with_teacher,
)
from lstmserve_training.classifying.cli import classifier
from lstmserve_training.errors import TrainingError
from lstmserve_training.importing.cli import import_model
from lstmserve_training.init.cli import init
from lstmserve_training.recipe.cli import recipes

if TYPE_CHECKING:
    from lstmserve_training.recipe.schema import Recipe
    from lstmserve_training.steps import Step

WITHOUT = {"classify": "has no section [classifier]"}
WITHOUT_TRAINING = "has weights that exist; take 'run' instead"

app = typer.Typer(
    help="From text to a served model. 'init' writes a recipe after a look at a file, 'run' does "
    "everything the recipe says: prepare, train, quantize, classify, evaluate, publish.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(f"lstmserve-train {version('lstmserve')}")
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


app.command()(init)
app.command("import")(import_model)


@app.command()
def run(
    recipe: RecipePath,
    overrides: Overrides = None,
    work: Work = None,
    device: Device = None,
    resume: Resume = True,
    teacher: TeacherName = None,
    print_config: PrintConfig = False,
) -> None:
    """Do everything the recipe says; what has not changed since the last time is skipped."""
    overrides = with_teacher(teacher, overrides)
    _carry_out(recipe, overrides, work, device, resume=resume, print_config=print_config)


@app.command("continue")
def go_on(
    recipe: RecipePath,
    earlier: Annotated[
        str,
        typer.Option(
            "--from", metavar="MODEL/VERSION", help="A published model, or a run's folder."
        ),
    ],
    overrides: Overrides = None,
    work: Work = None,
    device: Device = None,
    resume: Resume = True,
    print_config: PrintConfig = False,
) -> None:
    """Teach a model that exists the text of a recipe as well, so that it keeps what it knows."""
    added = [f"continuation.model={earlier}", *(overrides or ())]
    _carry_out(recipe, added, work, device, resume=resume, print_config=print_config)


def _carry_out(
    recipe: Path,
    overrides: list[str] | None,
    work: Path | None,
    device: str | None = None,
    *,
    only: str | None = None,
    resume: bool = True,
    print_config: bool,
) -> None:
    """Take all steps of a recipe, or only the one of this name."""
    given = read(recipe, overrides)
    if print_config:
        _print(in_force(given, recipe, where_of(given, recipe, work)))
        return
    from lstmserve_training.run import locked

    whole = make_run(given, recipe, overrides, work, device)
    step = None if only is None else _find_step(given, recipe, only)
    with locked(whole.work):
        if step is not None:
            whole.warn_of_changes(step)
        if not resume:
            whole.set_weights_aside()
        if not (whole.run_all() if step is None else whole.take(step)):
            typer.echo("already finished: nothing has changed since")


def _find_step(given: Recipe, recipe: Path, name: str) -> Step:
    from lstmserve_training.steps import steps_of

    step = next((step for step in steps_of(given) if step.name == name), None)
    if step is None:
        raise TrainingError(f"{recipe}: {WITHOUT.get(name, WITHOUT_TRAINING)}")
    return step


def _step(name: str, text: str) -> None:
    """Define the verb that takes one step alone, which is not training."""

    def take(
        recipe: RecipePath,
        overrides: Overrides = None,
        work: Work = None,
        teacher: TeacherName = None,
        print_config: PrintConfig = False,
    ) -> None:
        overrides = with_teacher(teacher, overrides)
        _carry_out(recipe, overrides, work, only=name, print_config=print_config)

    take.__doc__ = text
    app.command(name)(take)


_step("prepare", "Read, clean and split the text, make the tokenizer, and report what was done.")


@app.command()
def train(
    recipe: RecipePath,
    overrides: Overrides = None,
    work: Work = None,
    device: Device = None,
    resume: Resume = True,
    teacher: TeacherName = None,
    print_config: PrintConfig = False,
) -> None:
    """Train, or go on with the run that was stopped."""
    overrides = with_teacher(teacher, overrides)
    _carry_out(
        recipe, overrides, work, device, only="train", resume=resume, print_config=print_config
    )


_step("quantize", "Write the best weights as an INT8 TorchScript module, checked bit by bit.")
_step("classify", "Train what names questions before they are answered, and measure it.")
_step("evaluate", "Compare fp32, stock INT8 and the exported module on held-out text.")
_step("publish", "Write a verified version with its card into the model store.")


app.add_typer(recipes, name="recipes")


def _print(recipe: Recipe) -> None:
    from lstmserve_training.recipe.toml import write_toml

    typer.echo(write_toml(recipe), nl=False)


@app.command("try")
def talk(
    recipe: RecipePath,
    prompts: Annotated[
        list[str] | None,
        typer.Option("--prompt", help="Ask this and end; may be given several times."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the replies.")] = 1,
    chat: Annotated[
        bool,
        typer.Option("--chat/--single", help="Go on with the conversation; /clear starts anew."),
    ] = True,
    work: Work = None,
) -> None:
    """Talk to a run before it is published; a line each, the end of input ends it."""
    import sys

    from lstmserve_training.talking import open_talker
    from lstmserve_training.talking import talk as run_talk

    given = read(recipe, ())
    talker = open_talker(given, where_of(given, recipe, work))
    typer.echo(f"talking to {talker.what}", err=True)
    run_talk(talker, prompts or sys.stdin, seed, lambda text: typer.echo(text, nl=False), chat=chat)


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN…", help="Folders of runs.")],
    prompts: Annotated[
        list[str] | None,
        typer.Option("--prompt", help="Ask all of them this; may be given several times."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the curves into this file, PNG or SVG.")
    ] = None,
) -> None:
    """Show runs side by side: settings that differ, measures, curves, and replies."""
    from rich.console import Console

    from lstmserve_training import comparing

    found = [comparing.open_run(folder) for folder in runs]
    console = Console()
    console.print(comparing.make_comparison(found))
    console.print(comparing.compare_replies(found, prompts or ()))
    if plot:
        comparing.plot(found, plot)
        typer.echo(f"wrote {plot}")


app.command("answers")(answers)
app.command("classifier")(classifier)


@app.command()
def pack(
    folder: Annotated[Path, typer.Argument(help="STORE/NAME/NUMBER, with a manifest.json.")],
) -> None:
    """Fill in sizes and checksums of a version that was made by hand."""
    from lstmserve_training.pack import pack as run_pack

    manifest = run_pack(folder)
    typer.echo(
        f"{folder}: {manifest.name} version {manifest.version}, {len(manifest.files)} files, "
        f"{manifest.size_bytes:,} bytes; a server proves it exact when it loads it"
    )


def main() -> None:
    # torch's C++ side would tell everybody that its pinned quantized tensors are deprecated
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    try:
        app()
    except TrainingError as error:
        reason = str(error)
    except ModuleNotFoundError as error:  # the base install is the client alone
        reason = f"{error.name} is not installed; in a checkout, run: pip install '.[training]'"
    except OSError as error:
        if error.filename is not None:  # no stream has one
            raise
        reason = f"the output cannot be written: {error.strerror}"
    else:
        return
    with suppress(OSError):  # the exit code tells that it failed, if nothing else can
        typer.echo(f"error: {reason}", err=True)
    raise SystemExit(1)
