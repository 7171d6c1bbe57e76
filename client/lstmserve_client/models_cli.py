"""``lstmserve models``: which models a server serves, and what operators may change."""

from typing import Annotated

import typer

from lstmserve_client.connected import connected
from lstmserve_client.options import ServerOptions, grouped
from lstmserve_client.types import Model

app = typer.Typer(help="List the server's models and versions, or change what it serves.")

AsJson = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON object per line.", rich_help_panel="Output"),
]
Name = Annotated[str, typer.Argument(metavar="MODEL", help="The model's name.")]
Version = Annotated[str, typer.Argument(metavar="VERSION", help="The version, such as 3.")]
DefaultVersion = Annotated[
    str,
    typer.Argument(
        metavar="[VERSION]", help="The version; none for the newest that the policy serves."
    ),
]
Weights = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[VERSION=WEIGHT]...", help="Such as 2=90 3=10; none for the newest alone."
    ),
]


@app.callback(invoke_without_command=True)
@grouped
def list_models(context: typer.Context, server: ServerOptions, as_json: AsJson = False) -> None:
    """List the models and versions that the server knows, or change what it serves."""
    if context.invoked_subcommand is None:
        with connected(server) as client:
            found = client.models(timeout_seconds=server.timeout)
        _show(found, as_json=as_json)
        return
    for name in context.params:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise typer.BadParameter(f"options stand after {context.invoked_subcommand!r}")


@app.command()
@grouped
def load(name: Name, version: Version, server: ServerOptions, as_json: AsJson = False) -> None:
    """Serve a version of the store to those who name it; waits until it is ready."""
    with connected(server) as client:
        model = client.load_model(name, version, timeout_seconds=server.timeout)
    _show([model], as_json=as_json)


@app.command()
@grouped
def unload(name: Name, version: Version, server: ServerOptions, as_json: AsJson = False) -> None:
    """Serve a version no longer; replies that run on it end in their own time."""
    with connected(server) as client:
        model = client.unload_model(name, version, timeout_seconds=server.timeout)
    _show([model], as_json=as_json)


@app.command()
@grouped
def set_default(
    name: Name, server: ServerOptions, version: DefaultVersion = "", as_json: AsJson = False
) -> None:
    """Let a model, and this version of it, answer requests that name none."""
    with connected(server) as client:
        model = client.set_default_model(name, version, timeout_seconds=server.timeout)
    _show([model], as_json=as_json)


@app.command()
@grouped
def traffic(
    name: Name, server: ServerOptions, weights: Weights = None, as_json: AsJson = False
) -> None:
    """Deal requests naming no version out between versions; each caller keeps its own."""
    split = dict(map(_parse_weight, weights or []))
    if len(split) < len(weights or []):
        raise typer.BadParameter("names a version twice", param_hint="VERSION=WEIGHT")
    with connected(server) as client:
        models = client.split_traffic(name, split, timeout_seconds=server.timeout)
    _show(models, as_json=as_json)


@app.command()
@grouped
def verify(name: Name, version: Version, server: ServerOptions) -> None:
    """Try a version of the server's store without serving it; exit code 0 only if it is good."""
    with connected(server) as client:
        client.verify_model(name, version, timeout_seconds=server.timeout)
    typer.echo(f"{name} version {version} is good")


def _parse_weight(text: str) -> tuple[str, int]:
    version, _, weight = text.partition("=")
    if not (version and weight.isascii() and weight.isdigit()):
        raise typer.BadParameter(f"must be like 3=10, not {text!r}", param_hint="VERSION=WEIGHT")
    return version, int(weight)


def _show(models: list[Model], *, as_json: bool) -> None:
    from lstmserve_client.console import show_models, write_json

    if not as_json:
        show_models(models)
        return
    for model in models:
        write_json(model)
