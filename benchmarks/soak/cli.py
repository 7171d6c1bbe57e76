"""``python -m benchmarks.soak``: bytes per request, kilobytes per waiting stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.progress import Progress

from benchmarks.load.measure import ClientKind, Generator
from benchmarks.load.options import (
    MetricsUrl,
    ServerArguments,
    ServerPid,
    Start,
    Target,
    open_server,
)
from benchmarks.load.provenance import describe_run
from benchmarks.load.report import write_json
from benchmarks.soak.growth import compute_growth
from benchmarks.soak.soak import RequestsOutcome, Soak, WaitingOutcome
from benchmarks.testbed.server import RunningServer

KILOBYTE, MEBIBYTE = 1e3, 2**20
# what waits for its turn among thousands is in no hurry
DEADLINE_SECONDS = 3600.0


@dataclass(frozen=True)
class _Plan:
    requests: int
    streams: int
    max_tokens: int
    waiting: int


def run(
    target: Target = None,
    start: Start = False,
    server_arg: ServerArguments = None,
    metrics_url: MetricsUrl = None,
    server_pid: ServerPid = None,
    requests: Annotated[int, typer.Option(min=0, help="Requests to send; 0: none.")] = 1_000_000,
    streams: Annotated[int, typer.Option(min=1, help="Sent at the same time.")] = 64,
    max_tokens: Annotated[int, typer.Option(min=1, help="Tokens of each reply.")] = 4,
    waiting: Annotated[
        int,
        typer.Option(min=0, help="Streams that wait at once; the server must allow them."),
    ] = 0,
    client: ClientKind = ClientKind.HTTP2,
    connections: Annotated[int, typer.Option(min=1)] = 1,
    json: Annotated[Path | None, typer.Option(help="Write the figures to this file.")] = None,
) -> None:
    """Watch a server's resident memory over many requests, and with many that wait."""
    generator = Generator(client, connections, timeout_seconds=DEADLINE_SECONDS)
    plan = _Plan(requests, streams, max_tokens, waiting)
    with open_server(
        target, start=start, arguments=server_arg, metrics_url=metrics_url, pid=server_pid
    ) as server:
        results = uvloop.run(_soak(generator, server, plan))
    if json is not None:
        write_json(json, describe_run(), {"plan": asdict(plan), **results})


async def _soak(generator: Generator, server: RunningServer, plan: _Plan) -> Mapping[str, object]:
    results: dict[str, object] = {}
    transport = generator.connect(server.target)
    soak = Soak(transport, server)
    if plan.requests:
        with Progress(transient=True) as progress:
            bar = progress.add_task("requests", total=plan.requests)
            outcome = await soak.ask_many(
                plan.requests,
                plan.streams,
                plan.max_tokens,
                lambda done: progress.update(bar, completed=done),
            )
        results["requests"] = _report_requests(outcome)
    if plan.waiting:
        results["waiting"] = _report_waiting(await soak.wait_many(plan.waiting))
    await transport.close()
    return results


def _report_requests(outcome: RequestsOutcome) -> Mapping[str, object]:
    growth = compute_growth(outcome.samples)
    codes = ", ".join(f"{count:,} {code}" for code, count in outcome.codes.items())
    typer.echo(
        f"requests: {codes} in {outcome.seconds:,.0f} s; "
        f"resident {outcome.samples[0].resident_bytes / MEBIBYTE:,.1f} MB at the start, "
        f"{growth.settled_bytes / MEBIBYTE:,.1f} after a fifth, "
        f"{growth.last_bytes / MEBIBYTE:,.1f} at the end; "
        f"{growth.bytes_per_request:.2f} bytes per request after that fifth"
    )
    return {**asdict(outcome), "growth": asdict(growth)}


def _report_waiting(outcome: WaitingOutcome) -> Mapping[str, object]:
    typer.echo(
        f"waiting: {outcome.waiting:,} streams; "
        f"resident {outcome.resident_before_bytes / MEBIBYTE:,.1f} MB before, "
        f"{outcome.resident_waiting_bytes / MEBIBYTE:,.1f} while they wait, "
        f"{outcome.resident_after_bytes / MEBIBYTE:,.1f} after they were cancelled; "
        f"{outcome.bytes_per_stream / KILOBYTE:.1f} KB per waiting stream"
    )
    return {**asdict(outcome), "bytes_per_stream": outcome.bytes_per_stream}


def main() -> None:
    typer.run(run)
