"""``python -m benchmarks.serve``: one measurement for every number of streams, or rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.load.dialect import LstmserveDialect
from benchmarks.load.driver import Closed, Load, Open
from benchmarks.load.measure import (
    ClientKind,
    EventLoop,
    Generator,
    Measurement,
    Plan,
    measure,
    start_generators,
)
from benchmarks.load.options import (
    Json,
    MetricsUrl,
    Seconds,
    ServerArguments,
    ServerPid,
    Start,
    Target,
    WarmUp,
    open_server,
    parse_numbers,
)
from benchmarks.load.plot import draw
from benchmarks.load.provenance import describe_run, name_run
from benchmarks.load.report import name_load, print_measurements, write_json
from benchmarks.load.workload import CacheMode, Lengths, Sampling, SamplingOptions, Workload
from benchmarks.testbed.server import RunningServer

DEFAULT_STREAMS = "1,8,32,64,256"


Streams = Annotated[
    str | None,
    typer.Option(help=f"Closed loop: concurrent streams; {DEFAULT_STREAMS} if no rate is given."),
]
Rate = Annotated[str | None, typer.Option(help="Open loop: requests per second.")]
Popularity = Annotated[
    str, typer.Option(help="How often each prompt is asked: uniform or zipf:EXPONENT.")
]
ReplyLengths = Annotated[
    Lengths,
    typer.Option(help="equal: max_tokens; mixed: an eighth of it to all; natural: the model's."),
]
RequestSeeds = Annotated[bool, typer.Option(help="A seed per request; without, the server picks.")]
Connections = Annotated[int, typer.Option(min=1, help="Per generator process.")]
Processes = Annotated[int, typer.Option(min=1, help="Generator processes.")]
Timeout = Annotated[float, typer.Option(help="Deadline of each request in seconds.")]
OF_SAMPLED = typer.Option(help="Of sampled replies.")


def run(
    target: Target = None,
    start: Start = False,
    server_arg: ServerArguments = None,
    metrics_url: MetricsUrl = None,
    server_pid: ServerPid = None,
    streams: Streams = None,
    rate: Rate = None,
    seconds: Seconds = 10.0,
    warm_up: WarmUp = 2.0,
    popularity: Popularity = "uniform",
    sampling: Sampling = Sampling.SAMPLED,
    temperature: Annotated[float, OF_SAMPLED] = 1.0,
    top_p: Annotated[float | None, OF_SAMPLED] = None,
    top_k: Annotated[int | None, OF_SAMPLED] = None,
    max_tokens: Annotated[int, typer.Option(min=1)] = 64,
    lengths: ReplyLengths = Lengths.EQUAL,
    cache_mode: CacheMode = CacheMode.DEFAULT,
    request_seeds: RequestSeeds = True,
    seed: Annotated[int, typer.Option(help="Decides every request of the run.")] = 0,
    client: ClientKind = ClientKind.HTTP2,
    connections: Connections = 1,
    processes: Processes = 1,
    event_loop: EventLoop = EventLoop.UVLOOP,
    timeout: Timeout = 60.0,
    json: Json = None,
    plot: Annotated[Path | None, typer.Option(help="Draw them into this file.")] = None,
) -> None:
    """Load a server with real questions and report rates, latencies and costs."""
    options = SamplingOptions(temperature, top_k, top_p)
    workload = Workload(
        seed, popularity, sampling, options, lengths, max_tokens, cache_mode, request_seeds
    )
    generator = Generator(client, connections, processes, timeout, event_loop)
    plan = Plan(LstmserveDialect(), generator, workload, Closed(1), warm_up, seconds)
    plans = [replace(plan, load=load) for load in _read_loads(streams, rate)]
    with open_server(
        target, start=start, arguments=server_arg, metrics_url=metrics_url, pid=server_pid
    ) as server:
        measurements = _measure_all(plans, server)
    _show(workload, measurements, json, plot)


def _read_loads(streams: str | None, rate: str | None) -> list[Load]:
    if rate is None:
        return [Closed(int(number)) for number in parse_numbers(streams or DEFAULT_STREAMS)]
    if streams is not None:
        raise typer.BadParameter("give either --streams or --rate")
    return [Open(number) for number in parse_numbers(rate)]


def _measure_all(plans: Sequence[Plan], server: RunningServer) -> list[Measurement]:
    measurements = []
    with start_generators(plans[0].generator) as pool:
        for plan in plans:
            typer.echo(f"{name_load(plan.load)} ...", err=True)
            measurements.append(measure(plan, server, pool))
    return measurements


def _show(
    workload: Workload, measurements: Sequence[Measurement], json: Path | None, plot: Path | None
) -> None:
    print_measurements(measurements)
    described = describe_run()
    results = {"workload": asdict(workload), "measurements": [*map(asdict, measurements)]}
    write_json(json, described, results)
    if plot is not None:
        draw(plot, measurements, name_run(described))


def main() -> None:
    typer.run(run)
