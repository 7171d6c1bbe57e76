"""``python -m benchmarks.replay``: exits 1 if a reply under load differs from the same alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated

import typer
import uvloop

from benchmarks.load.measure import ClientKind, Generator
from benchmarks.load.options import NOT_EXACT, Json, ServerArguments, Start, Target, open_server
from benchmarks.load.provenance import describe_run
from benchmarks.load.report import write_json
from benchmarks.replay.replay import Outcome, replay
from benchmarks.replay.requests import make_requests


@dataclass(frozen=True)
class _Plan:
    generator: Generator
    requests: int
    distinct: int
    streams: int
    with_penalties: bool
    with_forms: bool
    seed: int


def run(
    target: Target = None,
    start: Start = False,
    server_arg: ServerArguments = None,
    requests: Annotated[int, typer.Option(min=1, help="Replies to compare.")] = 100_000,
    distinct: Annotated[int, typer.Option(min=1, help="Different requests.")] = 500,
    streams: Annotated[int, typer.Option(min=1, help="Asked at the same time.")] = 64,
    penalties: Annotated[
        bool, typer.Option("--penalties", help="Use the penalties and logit_bias as well.")
    ] = False,
    constraints: Annotated[
        bool, typer.Option("--constraints", help="Let four of ten keep a form, and look at it.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Decides the requests and their order.")] = 0,
    client: ClientKind = ClientKind.HTTP2,
    connections: Annotated[int, typer.Option(min=1)] = 1,
    json: Json = None,
) -> None:
    """Replay requests under load and count the replies that differ from the same asked alone."""
    generator = Generator(client=client, connections=connections)
    plan = _Plan(generator, requests, distinct, streams, penalties, constraints, seed)
    with open_server(target, start=start, arguments=server_arg) as server:
        outcome = uvloop.run(_replay(plan, server.target))
    for line in outcome.describe():
        typer.echo(line)
    write_json(json, describe_run(), {"plan": asdict(plan), **asdict(outcome)})
    if not outcome.is_exact:
        raise typer.Exit(NOT_EXACT)


async def _replay(plan: _Plan, target: str) -> Outcome:
    pool = make_requests(
        plan.distinct,
        plan.seed,
        with_penalties=plan.with_penalties,
        with_forms=plan.with_forms,
    )
    transport = plan.generator.connect(target)
    return await replay(transport, pool, plan.requests, plan.streams, plan.seed)


def main() -> None:
    typer.run(run)
