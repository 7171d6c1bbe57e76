"""``python -m benchmarks.swaps``: version after version under load."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import suppress
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
import uvloop
from rich.progress import Progress

from benchmarks.load.dialect import to_request
from benchmarks.load.measure import ClientKind, Generator
from benchmarks.load.options import ServerArguments, open_server
from benchmarks.load.provenance import describe_run
from benchmarks.load.report import write_json
from benchmarks.load.workload import CacheMode, Lengths, Workload
from benchmarks.soak.growth import compute_growth
from benchmarks.swaps.busy import BusyCallers
from benchmarks.swaps.store import GrowingStore
from benchmarks.swaps.swaps import SwapError, Swaps

CANNOT_MEASURE = 2
NOT_EXACT = 1
MEBIBYTE = 2**20
NUM_REQUESTS = 256
FOLLOW_AT_ONCE = ("--poll-seconds", "0.2")


def run(
    source: Annotated[
        Path, typer.Option(help="The version that is published again and again.")
    ] = Path("model_store/support-en/2"),
    server_arg: ServerArguments = None,
    swaps: Annotated[int, typer.Option(min=4, help="Versions to publish.")] = 100,
    streams: Annotated[int, typer.Option(min=1, help="Requests at the same time.")] = 16,
    max_tokens: Annotated[int, typer.Option(min=1, help="Tokens of each reply.")] = 64,
    quiet_seconds: Annotated[
        float, typer.Option(min=0.1, help="Between two swaps: what the server does in peace.")
    ] = 2.0,
    json: Annotated[Path | None, typer.Option(help="Write the figures to this file.")] = None,
) -> None:
    """Start a server, publish version after version under load, and compare every reply."""
    workload = Workload(lengths=Lengths.MIXED, max_tokens=max_tokens, cache_mode=CacheMode.BYPASS)
    requests = [to_request(ask) for ask in islice(workload.asks(0), NUM_REQUESTS)]
    with tempfile.TemporaryDirectory() as folder:
        store = GrowingStore(source, Path(folder))
        arguments = ("--model-store", folder, *FOLLOW_AT_ONCE, *(server_arg or ()))
        with open_server(None, start=True, arguments=arguments) as server:
            transport = Generator(ClientKind.HTTP2, 1, timeout_seconds=60).connect(server.target)
            callers = BusyCallers(transport, requests, streams)
            running = Swaps(server, store, callers, quiet_seconds)
            try:
                uvloop.run(_run(callers, running, swaps))
            except SwapError as error:
                typer.echo(str(error), err=True)
                raise typer.Exit(CANNOT_MEASURE) from None
    _report(callers, running, json)
    if callers.heard.failed or callers.heard.different:
        raise typer.Exit(NOT_EXACT)


async def _run(callers: BusyCallers, running: Swaps, swaps: int) -> None:
    await callers.ask_alone()
    asking = asyncio.create_task(callers.run())
    with Progress(transient=True) as progress:
        bar = progress.add_task("swaps", total=swaps)
        try:
            await running.run(swaps, lambda done: progress.update(bar, completed=done))
        finally:
            asking.cancel()
            with suppress(asyncio.CancelledError):
                await asking


def _report(callers: BusyCallers, running: Swaps, json: Path | None) -> None:
    heard, outcome = callers.heard, running.outcome
    growth = compute_growth(outcome.memory)
    tenth = max(1, len(outcome.quiet_rates) // 10)
    first, last = median(outcome.quiet_rates[:tenth]), median(outcome.quiet_rates[-tenth:])
    during = median(outcome.busy_rates) / median(outcome.quiet_rates)
    typer.echo(
        f"{len(outcome.swap_seconds)} swaps, {median(outcome.swap_seconds):.1f} s each (median): "
        f"{heard.replies:,} replies by {len(heard.versions)} versions, "
        f"{sum(heard.failed.values())} failed {heard.failed or ''}, {heard.different} differ\n"
        f"tokens/s between swaps: {first:,.0f} in the first tenth, {last:,.0f} in the last "
        f"({last / first:.2f}); during a swap {during:.2f} of that (median)\n"
        f"resident {growth.settled_bytes / MEBIBYTE:,.1f} MB after a fifth, "
        f"{growth.last_bytes / MEBIBYTE:,.1f} at the end, "
        f"{growth.bytes_per_request / MEBIBYTE:+.3f} MB per swap"
    )
    if json is not None:
        figures = {**asdict(heard), "versions": len(heard.versions), **asdict(outcome)}
        write_json(json, describe_run(), {**figures, "growth": asdict(growth)})


def main() -> None:
    typer.run(run)
