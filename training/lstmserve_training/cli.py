"""``lstmserve-train``: from anybody's text to a published model, by one file and one command."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lstmserve_training.errors import TrainingError

if TYPE_CHECKING:
    from lstmserve_training.recipe.schema import Recipe
    from lstmserve_training.run import Run

app = typer.Typer(
    help="From text to a served model. 'init' writes a recipe after a look at a file, 'run' does "
    "everything the recipe says: prepare, train, quantize, evaluate, publish.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

RecipePath = Annotated[Path, typer.Argument(metavar="RECIPE", help="The recipe, a TOML file.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]…", help="Keys put in force, such as training.epochs=3."),
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
PrintConfig = Annotated[
    bool, typer.Option("--print-config", help="Print what is in force as a recipe, and end.")
]


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


@app.command()
def run(
    recipe: RecipePath,
    overrides: Overrides = None,
    work: Work = None,
    device: Device = None,
    resume: Resume = True,
    print_config: PrintConfig = False,
) -> None:
    """Do everything the recipe says; what has not changed since the last time is skipped."""
    read = _read(recipe, overrides)
    if print_config:
        _print(read)
        return
    from lstmserve_training.run import locked

    whole = _make_run(read, recipe, overrides, work, device)
    with locked(whole.work):
        if not resume:
            whole.set_weights_aside()
        if not whole.run_all():
            typer.echo("already finished: nothing has changed since")


def _step(name: str, text: str) -> None:
    """Define the verb that takes one step alone."""

    def take(
        recipe: RecipePath,
        overrides: Overrides = None,
        work: Work = None,
        device: Device = None,
        resume: Resume = True,
        print_config: PrintConfig = False,
    ) -> None:
        read = _read(recipe, overrides)
        if print_config:
            _print(read)
            return
        from lstmserve_training.run import locked
        from lstmserve_training.steps import steps_of

        whole = _make_run(read, recipe, overrides, work, device)
        step = next((step for step in steps_of(read) if step.name == name), None)
        if step is None:
            raise TrainingError(f"{recipe}: has weights that exist; take 'run' instead of '{name}'")
        with locked(whole.work):
            whole.warn_of_changes(step)
            if name == "train" and not resume:
                whole.set_weights_aside()
            if not whole.take(step):
                typer.echo("already finished: nothing has changed since")

    take.__doc__ = text
    app.command(name)(take)


_step("prepare", "Read, clean and split the text, make the tokenizer, and report what was done.")
_step("train", "Train, or go on with the run that was stopped.")
_step("quantize", "Write the best weights as an INT8 TorchScript module, checked bit by bit.")
_step("evaluate", "Compare fp32, stock INT8 and the exported module on held-out text.")
_step("publish", "Write a verified version with its card into the model store.")


@app.command()
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

    from lstmserve_training.init import make_name, write_recipe
    from lstmserve_training.recipe.sections import Kind

    if kind not in get_args(Kind):
        raise TrainingError(f"{kind!r} is no kind; there are: {', '.join(get_args(Kind))}")
    out = output or data.parent / f"{make_name(data)}.toml"
    recipe = write_recipe(kind, data, out)  # type: ignore[arg-type]
    source = recipe.sources[0]
    columns = {k: v for k, v in source.columns.model_dump(exclude_defaults=True).items() if v}
    typer.echo(f"wrote {out}")
    if columns:
        typer.echo("columns: " + ", ".join(f"{part} is {name!r}" for part, name in columns.items()))
    typer.echo(f"look at it, then: lstmserve-train run {out}")


@app.command("import")
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
    end: Annotated[str, typer.Option(help="The token that ends a text.")] = "",
    unknown: Annotated[str, typer.Option(help="The token of unknown words.")] = "",
    work: Work = None,
) -> None:
    """Take weights that exist: compare, quantize, evaluate and publish them.

    Writes NAME.toml, a recipe with the section [weights], and runs it.
    """
    from lstmserve_training.importing.writing import write_import_recipe
    from lstmserve_training.init import make_name
    from lstmserve_training.run import locked

    if (state_dict is None) == (torchscript is None):
        raise TrainingError("give one of --state-dict and --torchscript")
    file = state_dict or torchscript or Path()
    out = Path(f"{name or make_name(file)}.toml")
    weights = {"file": str(file), "vocabulary": str(vocab), "tokens": tokens, "end": end}
    weights |= {"embedding": embedding, "lstm": lstm, "output": output, "unknown": unknown}
    recipe = write_import_recipe(out, out.stem, license, text, weights)
    typer.echo(f"wrote {out}")
    whole = _make_run(recipe, out, None, work, "cpu")
    with locked(whole.work):
        if not whole.run_all():
            typer.echo("already finished: nothing has changed since")


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

    read = _read(recipe, None)
    talker = open_talker(read, _where(read, recipe, work))
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


recipes = typer.Typer(help="The recipes that ship.", no_args_is_help=True)
app.add_typer(recipes, name="recipes")


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


def _read(path: Path, overrides: Sequence[str] | None) -> Recipe:
    from lstmserve_training.recipe.reading import read_recipe

    return read_recipe(path, overrides or ())


def _print(recipe: Recipe) -> None:
    from lstmserve_training.recipe.toml import write_toml

    typer.echo(write_toml(recipe), nl=False)


def _make_run(
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
    where = _where(recipe, path, work)
    return Run(recipe, folder, where, Console(), command=command, device=device)


def _where(recipe: Recipe, path: Path, work: Path | None) -> Path:
    return work or path.resolve().parent / "runs" / recipe.name


def main() -> None:
    # torch's C++ side would tell everybody that its pinned quantized tensors are deprecated
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    try:
        app()
    except TrainingError as error:
        reason = str(error)
    except KeyboardInterrupt:
        reason = "interrupted; the same command goes on where it stopped"
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
