"""``python -m benchmarks.endurance``: the verbs chaos, swaps and soak."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from benchmarks.endurance.chaos import ChaosPlan, Proxy, learn_alone, open_stage, run_chaos
from benchmarks.endurance.faults import FaultKind
from benchmarks.endurance.report import (
    report_chaos,
    report_requests,
    report_swaps,
    report_waiting,
)
from benchmarks.endurance.soak import Soak
from benchmarks.endurance.swaps import GrowingStore, learn_first, run_swaps
from benchmarks.load.measure import ClientKind, Generator
from benchmarks.load.options import (
    NOT_EXACT,
    Json,
    MetricsUrl,
    ServerArguments,
    ServerPid,
    Start,
    Target,
    errors_told,
    open_server,
)
from benchmarks.load.provenance import describe_run
from benchmarks.load.report import write_json

# what waits for its turn among thousands is in no hurry
SOAK_DEADLINE_SECONDS = 3600.0
FOLLOW_AT_ONCE = ("--poll-seconds", "0.2")

app = typer.Typer(
    help="Servers under streams, for long, while faults, swaps or nothing happens to them.",
    add_completion=False,
    no_args_is_help=True,
)
Streams = Annotated[int, typer.Option(min=1, help="Requests at the same time.")]
MaxTokens = Annotated[int, typer.Option(min=1, help="Tokens of each reply.")]


@app.command()
def chaos(
    server_arg: ServerArguments = None,
    replicas: Annotated[int, typer.Option(min=1, help="Servers to start.")] = 2,
    streams: Streams = 64,
    faults: Annotated[
        str, typer.Option(help="kill, freeze, restart, drain: separated by commas.")
    ] = "kill,freeze,restart,drain",
    seconds: Annotated[float, typer.Option(min=1, help="For which faults happen.")] = 60.0,
    max_tokens: MaxTokens = 128,
    seed: Annotated[int, typer.Option(help="Decides requests and faults.")] = 0,
    redis: Annotated[
        bool, typer.Option("--redis", help="Keep replies in a Redis, which is killed as well.")
    ] = False,
    through: Annotated[Proxy | None, typer.Option(help="A proxy before the replicas.")] = None,
    json: Json = None,
) -> None:
    """Start replicas, let faults happen to them under load, and compare every reply."""
    kinds = _parse_kinds(faults, with_redis=redis)
    plan = ChaosPlan(replicas, streams, kinds, seconds, max_tokens, seed, redis, through)
    arguments = server_arg or ()
    with errors_told():
        questions = learn_alone(arguments, plan)
        with open_stage(arguments, plan) as stage:
            heard, happened, watch = uvloop.run(run_chaos(stage, questions, plan))
    figures = report_chaos(heard, happened, watch)
    write_json(json, describe_run(), figures)
    if heard.lost or heard.changed:
        raise typer.Exit(NOT_EXACT)


@app.command()
def swaps(
    source: Annotated[
        Path, typer.Option(help="The version that is published again and again.")
    ] = Path("model_store/support-en/3"),
    server_arg: ServerArguments = None,
    swaps: Annotated[int, typer.Option(min=4, help="Versions to publish.")] = 100,
    streams: Streams = 16,
    max_tokens: MaxTokens = 64,
    quiet_seconds: Annotated[
        float, typer.Option(min=0.1, help="Between two swaps: what the server does in peace.")
    ] = 2.0,
    json: Json = None,
) -> None:
    """Start a server, publish version after version under load, and compare every reply."""
    with tempfile.TemporaryDirectory() as folder:
        store = GrowingStore(source, Path(folder))
        arguments = ("--model-store", folder, *FOLLOW_AT_ONCE, *(server_arg or ()))
        with open_server(None, start=True, arguments=arguments) as server:
            questions = learn_first(server, max_tokens)
            heard, swapped, failed = uvloop.run(
                run_swaps(
                    server,
                    store,
                    questions,
                    streams=streams,
                    count=swaps,
                    quiet_seconds=quiet_seconds,
                )
            )
    figures = report_swaps(heard, swapped, failed)
    write_json(json, describe_run(), figures)
    if failed or heard.changed:
        raise typer.Exit(NOT_EXACT)


@app.command()
def soak(
    target: Target = None,
    start: Start = False,
    server_arg: ServerArguments = None,
    metrics_url: MetricsUrl = None,
    server_pid: ServerPid = None,
    requests: Annotated[int, typer.Option(min=0, help="Requests to send; 0: none.")] = 1_000_000,
    streams: Streams = 64,
    max_tokens: MaxTokens = 4,
    waiting: Annotated[
        int,
        typer.Option(min=0, help="Streams that wait at once; the server must allow them."),
    ] = 0,
    client: ClientKind = ClientKind.HTTP2,
    connections: Annotated[int, typer.Option(min=1)] = 1,
    json: Json = None,
) -> None:
    """Watch a server's resident memory over many requests, and with many that wait."""
    generator = Generator(client, connections, timeout_seconds=SOAK_DEADLINE_SECONDS)
    plan = {"requests": requests, "streams": streams, "max_tokens": max_tokens, "waiting": waiting}
    figures: dict[str, object] = {"plan": plan}
    with open_server(
        target, start=start, arguments=server_arg, metrics_url=metrics_url, pid=server_pid
    ) as server:
        soaked = Soak(generator, server)
        if requests:
            outcome = uvloop.run(soaked.ask_many(requests, streams, max_tokens))
            figures["requests"] = report_requests(outcome)
        if waiting:
            figures["waiting"] = report_waiting(uvloop.run(soaked.wait_many(waiting)))
    write_json(json, describe_run(), figures)


def _parse_kinds(text: str, *, with_redis: bool) -> list[FaultKind]:
    try:
        kinds = [FaultKind(name) for name in text.split(",")]
    except ValueError as error:
        raise typer.BadParameter(f"{error}: one of {', '.join(FaultKind)}") from None
    if FaultKind.REDIS in kinds and not with_redis:
        raise typer.BadParameter("the fault redis goes with --redis")
    return [*kinds, FaultKind.REDIS] if with_redis and FaultKind.REDIS not in kinds else kinds


def main() -> None:
    app()
