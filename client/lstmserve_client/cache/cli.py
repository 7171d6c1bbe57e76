"""``lstmserve cache``: look into a server's reply cache, empty it and fill it."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from lstmserve_client.cache.prompts import BadLinesError, PromptLine, read_lines
from lstmserve_client.connected import connected
from lstmserve_client.keywords import (
    RequestOptions,
)
from lstmserve_client.options import ReplyOptions, ServerOptions, grouped

app = typer.Typer(
    no_args_is_help=True,
    help="Look into the server's reply cache, empty it and fill it.",
)

_SELECTION = "Selection (all that is given must fit; nothing given means everything)"

AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object.", rich_help_panel="Output")
]
Model = Annotated[
    str | None, typer.Option(help="Only entries of this model.", rich_help_panel=_SELECTION)
]
ModelVersion = Annotated[
    str | None, typer.Option(help="Only entries of this version.", rich_help_panel=_SELECTION)
]
Caller = Annotated[
    str | None,
    typer.Option(
        metavar="ID",
        help="Only entries kept for this caller; empty: for those without a name.",
        rich_help_panel=_SELECTION,
    ),
]
Tag = Annotated[
    str | None,
    typer.Option(help="Only entries kept for requests with this tag.", rich_help_panel=_SELECTION),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before everything is dropped.")]
PromptFile = Annotated[
    Path,
    typer.Argument(
        metavar="FILE", help="The prompts, one per line; - reads them from standard input."
    ),
]
Concurrency = Annotated[int, typer.Option(min=1, metavar="N", help="Prompts at the same time.")]


@app.command()
@grouped
def stats(server: ServerOptions, as_json: AsJson = False) -> None:
    """Show what the cache holds and how well it does.

    The figures are of the server process that answers, since it started.
    """
    from lstmserve_client.cache.figures import show_cache_stats
    from lstmserve_client.console import write_json

    with connected(server) as client:
        found = client.cache_stats(timeout_seconds=server.timeout)
    if as_json:
        write_json(found)
    else:
        show_cache_stats(found)


@app.command()
@grouped
def purge(
    server: ServerOptions,
    model: Model = None,
    model_version: ModelVersion = None,
    caller: Caller = None,
    tag: Tag = None,
    yes: Yes = False,
) -> None:
    """Drop cached replies and states, from memory and from Redis."""
    if model is model_version is caller is tag is None and not yes:
        _confirm(server.target)
    with connected(server) as client:
        gone = client.purge_cache(model, model_version, caller, tag, timeout_seconds=server.timeout)
    typer.echo(
        f"dropped {gone.memory_entries:,} entries from memory and {gone.redis_entries:,} from Redis"
    )


@app.command()
@grouped
def warm(
    file: PromptFile, options: ReplyOptions, server: ServerOptions, concurrency: Concurrency = 8
) -> None:
    """Store the replies to a file's prompts, before anybody asks for them.

    A line of the file is a prompt, or a JSON object such as {"prompt": "hi", "sampling":
    {"temperature": 0}}, with any of the keys prompt, model, model_version, sampling and
    stopping. The options below hold for every line that does not say otherwise. Requests
    of a higher priority go first meanwhile.
    """
    from lstmserve_client.cache.report import WarmReport
    from lstmserve_client.cache.warm import run_warming
    from lstmserve_client.console import write_note

    with connected(server) as client:
        lines = _read_lines(file, options.request_options)
        if not client.cache_stats(timeout_seconds=server.timeout).enabled:
            write_note("error: no cache is configured on the server: it would keep nothing")
            raise typer.Exit(1)
    with WarmReport(len(lines), server.target) as report:
        run_warming(lines, server, concurrency, report.add)
    if report.num_failed:
        raise typer.Exit(1)


def _confirm(target: str) -> None:
    """Ask the person who sits there; a script has to say so beforehand."""
    from lstmserve_client.console import write_note

    if not sys.stdin.isatty():
        write_note(
            "error: this drops everything; say so with --yes, or select with --model, "
            "--model-version or --caller"
        )
        raise typer.Exit(2)
    # typer's own question would put a part of itself into the output
    sys.stderr.write(f"Drop everything that is cached at {target}? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        write_note("nothing was dropped")
        raise typer.Exit(1)


def _read_lines(file: Path, options: RequestOptions) -> list[PromptLine]:
    from lstmserve_client.console import write_note

    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        # some editors begin a file with a mark
        return read_lines(data.decode("utf-8-sig"), options)
    except OSError as error:
        write_note(f"error: cannot read {file}: {error.strerror}")
        raise typer.Exit(2) from error
    except BadLinesError as error:
        for problem in error.problems:
            write_note(f"error: {problem}")
        raise typer.Exit(2) from error
