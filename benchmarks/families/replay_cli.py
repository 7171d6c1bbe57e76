"""``python -m benchmarks.families replay``: whether a reply depends on what else a server does."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from benchmarks.families.replaying import (
    Work,
    make_family_requests,
    replay_families,
    serve_families,
)
from benchmarks.load.options import NOT_EXACT, Json, errors_told
from benchmarks.load.provenance import describe_run
from benchmarks.load.report import write_json


def run_replay(
    replies: Annotated[int, typer.Option(min=1, help="Replies to compare.")] = 10_000,
    distinct: Annotated[int, typer.Option(min=1, help="Different requests.")] = 500,
    streams: Annotated[int, typer.Option(min=1, help="Asked at the same time.")] = 64,
    seed: Annotated[int, typer.Option(help="Decides the requests and their order.")] = 0,
    model_store: Annotated[Path, typer.Option(help="Store of the tokenizer.")] = Path(
        "model_store"
    ),
    json: Json = None,
) -> None:
    """Replay requests to all families under load; exit 1 if a reply differs from the same alone.

    The networks have random weights, made on the spot.
    """
    requests = make_family_requests(distinct, seed)
    with errors_told(), serve_families(model_store) as server:
        outcome = uvloop.run(replay_families(server.target, requests, replies, streams, seed))
        work = Work.of(server)
    for line in (*outcome.describe(), work.describe()):
        typer.echo(line)
    plan = {"distinct": distinct, "streams": streams, "seed": seed}
    write_json(json, describe_run(), {"plan": plan, **asdict(outcome), **asdict(work)})
    if not outcome.is_exact:
        raise typer.Exit(NOT_EXACT)
