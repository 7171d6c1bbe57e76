"""The ``lstmserve`` command: ask a server from a terminal or a script."""

import io
import os
import sys
from collections.abc import Sequence
from contextlib import closing, suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, NoReturn

import typer

from lstmserve_client.cache.cli import app as cache_app
from lstmserve_client.connected import connected
from lstmserve_client.errors import LstmserveError
from lstmserve_client.models_cli import app as models_app
from lstmserve_client.options import CacheOptions, ReplyOptions, ServerOptions, grouped
from lstmserve_client.types import Classification, LogLevel, Reply, ServingStatus, Turn

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    help="Ask an lstmserve server.",
)
app.add_typer(cache_app, name="cache")
app.add_typer(models_app, name="models")

MAX_CLASSIFIED = 256  # texts in one request
PromptText = Annotated[
    str,
    typer.Argument(
        help="The question, or the beginning of a text, which may be empty for models that write "
        "texts; - reads it from standard input."
    ),
]
ShowStats = Annotated[
    bool,
    typer.Option(
        "--show-stats",
        help="Tell seed, token counts, times and what the cache did on standard error.",
        rich_help_panel="Output",
    ),
]
AsJson = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON object per line.", rich_help_panel="Output"),
]
BestOf = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        help="Sample so many replies, at most 16, and print the one whose tokens are likeliest; "
        "not at temperature 0.",
        rich_help_panel="Several replies",
    ),
]
NumReplies = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        help="Print so many replies, likeliest first. Without --best-of, so many are sampled.",
        rich_help_panel="Several replies",
    ),
]


def main() -> None:
    """Run the command line and end the process with its exit code."""
    _open_missing_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that lacks a letter shows "?"
    try:
        app(prog_name="lstmserve")
    except OSError as error:
        if error.filename is not None:  # no stream has one
            raise
        _leave_unwritten(error)


def _open_missing_streams() -> None:
    """Stand in for those that were closed, as by ``>&-``."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            found = os.open(os.devnull, os.O_RDWR)
            if found != number:
                os.dup2(found, number)
                os.close(found)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - for good


def _leave_unwritten(error: OSError) -> NoReturn:
    """Such as a full disk: one line, and no second try of Python's at the end."""
    with suppress(OSError):
        sys.stderr.write(f"error: the output cannot be written: {error.strerror}\n")
        sys.stderr.flush()
    os._exit(1)


def _print_version(wanted: bool) -> None:
    if wanted:
        try:
            typer.echo(f"lstmserve {version('lstmserve')}")
        except PackageNotFoundError:
            typer.echo("lstmserve (run from its source, not installed)")
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
@grouped
def generate(
    prompt: PromptText,
    options: ReplyOptions,
    caching: CacheOptions,
    server: ServerOptions,
    show_stats: ShowStats = False,
    as_json: AsJson = False,
    best_of: BestOf = None,
    num_replies: NumReplies = None,
) -> None:
    """Print the reply to one prompt as it arrives, or the best of several."""
    from lstmserve_client.console import show_ranked, show_reply

    with connected(server) as client:
        text = sys.stdin.read().removesuffix("\n") if prompt == "-" else prompt
        asked = caching.over(options.request_options)
        if best_of is None and num_replies is None:
            with closing(client.generate(text, timeout_seconds=server.timeout, **asked)) as events:
                show_reply(events, as_json=as_json, show_stats=show_stats)
            return
        reply = client.reply(
            text,
            timeout_seconds=server.timeout,
            best_of=best_of,
            num_replies=num_replies,
            **asked,
        )
        show_ranked(reply, as_json=as_json, show_stats=show_stats)


@app.command()
@grouped
def classify(
    texts: Annotated[
        list[str],
        typer.Argument(help="One text or several; - reads them from standard input, one a line."),
    ],
    server: ServerOptions,
    model: Annotated[str, typer.Option(help="Empty for the server's default.")] = "",
    model_version: Annotated[str, typer.Option(help="Empty for the one served by default.")] = "",
    as_json: AsJson = False,
) -> None:
    """Print what texts are about, without a reply: labels with their probabilities.

    The exit code is 1 if any of the texts cannot be classified.
    """
    from lstmserve_client.console import show_classification, write_json, write_note

    wanted = sys.stdin.read().splitlines() if texts == ["-"] else texts
    is_whole = True
    with connected(server) as client:
        for start in range(0, len(wanted), MAX_CLASSIFIED):
            for found in client.classify_many(
                wanted[start : start + MAX_CLASSIFIED],
                model=model,
                model_version=model_version,
                timeout_seconds=server.timeout,
            ):
                is_whole = is_whole and isinstance(found, Classification)
                if as_json:
                    write_json(found)
                elif isinstance(found, Classification):
                    show_classification(found)
                else:
                    write_note(f"error: {found.field}: {found.description}")
    if not is_whole:
        raise typer.Exit(1)


@app.command()
@grouped
def chat(
    options: ReplyOptions,
    caching: CacheOptions,
    server: ServerOptions,
    show_stats: ShowStats = False,
) -> None:
    """Hold a conversation; /reset starts a new one, /quit leaves."""
    from lstmserve_client.chat import HELP, converse, is_interactive, piped_lines, typed_lines
    from lstmserve_client.console import describe, show_reply, write_note

    def ask(turns: Sequence[Turn]) -> Reply:
        events = client.generate(
            turns,
            timeout_seconds=server.timeout,
            **caching.over(options.request_options),
        )
        with closing(events):
            return show_reply(events, show_stats=show_stats)

    def stay(error: LstmserveError) -> None:
        write_note(f"error: {describe(error, server.target)}")

    def leave(error: LstmserveError) -> None:
        raise error

    with connected(server) as client:
        if is_interactive():
            write_note(HELP)
            converse(typed_lines(), ask, on_error=stay)
        else:
            converse(piped_lines(), ask, on_error=leave)


@app.command()
@grouped
def health(
    server: ServerOptions,
    service: Annotated[str, typer.Option(help="One service; empty for the whole server.")] = "",
) -> None:
    """Print whether the server takes requests; the exit code is 0 only if it does."""
    with connected(server) as client:
        status = client.health(service, timeout_seconds=server.timeout)
    typer.echo(status)
    if status is not ServingStatus.SERVING:
        raise typer.Exit(1)


@app.command()
@grouped
def log_level(
    server: ServerOptions,
    level: Annotated[
        LogLevel | None,
        typer.Argument(
            case_sensitive=False,
            metavar="[debug|info|warning|error]",
            help="The least severe lines to write from now on.",
        ),
    ] = None,
) -> None:
    """Print the server's log level, or set another one and print that.

    With several workers it is the level of all of them.
    """
    with connected(server) as client:
        if level is not None:
            client.set_log_level(level, timeout_seconds=server.timeout)
        typer.echo(client.log_level(timeout_seconds=server.timeout))
