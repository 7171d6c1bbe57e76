"""What several verbs share: options, and the end of one that cannot measure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.load.usage import MeasureError
from benchmarks.testbed.process import ProgramError
from benchmarks.testbed.server import RunningServer, start_server

NOT_EXACT, CANNOT_MEASURE = 1, 2  # exit codes

Target = Annotated[str | None, typer.Option(help="HOST:PORT of a running server.")]
Start = Annotated[bool, typer.Option("--start", help="Start a server on free ports instead.")]
ServerArguments = Annotated[
    list[str] | None,
    typer.Option(
        "--server-arg",
        metavar="ARGUMENT",
        help="For servers that are started here, e.g. --server-arg=--workers=2; repeatable.",
    ),
]
MetricsUrl = Annotated[
    str | None, typer.Option(help="Metrics page of --target, to read its memory from.")
]
ServerPid = Annotated[
    int | None, typer.Option(help="Process of --target if it runs here, to read its CPU from.")
]

Seconds = Annotated[float, typer.Option(min=0.1, help="Measured time of each load.")]
WarmUp = Annotated[float, typer.Option(min=0, help="Seconds of load before it.")]
Json = Annotated[Path | None, typer.Option(help="Write the figures to this file.")]


@contextmanager
def open_server(
    target: str | None,
    *,
    start: bool,
    arguments: Sequence[str] | None,
    metrics_url: str | None = None,
    pid: int | None = None,
) -> Iterator[RunningServer]:
    """The server that the command line names, or a new one, with errors told."""
    if start == (target is not None):
        raise typer.BadParameter("give either --target or --start")
    if not start and arguments:
        raise typer.BadParameter("--server-arg goes with --start")
    with errors_told(), ExitStack() as stack:
        if target is not None:
            yield RunningServer(target, metrics_url, pid)
        else:
            yield stack.enter_context(start_server(arguments or ()))


@contextmanager
def errors_told() -> Iterator[None]:
    """Within it, whatever keeps from measuring ends the program, which says why."""
    try:
        yield
    except (MeasureError, ProgramError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(CANNOT_MEASURE) from None


def parse_numbers(text: str) -> list[float]:
    """Numbers separated by commas, all above 0."""
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter(f"{text!r}: numbers separated by commas") from None
    if min(numbers) <= 0:
        raise typer.BadParameter(f"{text!r}: numbers above 0")
    return numbers
