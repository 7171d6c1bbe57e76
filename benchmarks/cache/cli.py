"""``python -m benchmarks.cache``: the reply cache and the state cache, part by part."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, replace
from time import monotonic
from typing import Annotated

import typer
import uvloop

from benchmarks.cache.admission import measure_admission, measure_tail
from benchmarks.cache.conversations import measure_conversations
from benchmarks.cache.failover import measure_failover
from benchmarks.cache.latency import measure_latency
from benchmarks.cache.memory import measure_memory
from benchmarks.cache.outage import measure_outage
from benchmarks.cache.popularity import measure_popularity
from benchmarks.cache.routing import measure_routing
from benchmarks.cache.shards import measure_shards
from benchmarks.cache.sizes import FULL, SHORT, Sizes
from benchmarks.cache.stage import Stage, open_stage
from benchmarks.cache.stampede import measure_stampede
from benchmarks.cache.throughput import measure_throughput
from benchmarks.load.findings import Finding, print_findings
from benchmarks.load.options import Json, ServerArguments, Start, errors_told
from benchmarks.load.provenance import PACKAGES, describe_run
from benchmarks.load.report import write_json

PARTS: Mapping[str, Callable[[Stage, Sizes], Awaitable[list[Finding]]]] = {
    "latency": measure_latency,
    "throughput": measure_throughput,
    "stampede": measure_stampede,
    "popularity": measure_popularity,
    "outage": measure_outage,
    "conversations": measure_conversations,
    "admission": measure_admission,
    "tail": measure_tail,
    "memory": measure_memory,
    "routing": measure_routing,
    "failover": measure_failover,
    "shards": measure_shards,
}
NAMES = ", ".join(PARTS)
CACHE_PACKAGES = ("redis", "hiredis", "moka-py")


def run(
    start: Start = False,
    server_arg: ServerArguments = None,
    only: Annotated[str, typer.Option(help=f"Parts, separated by commas, of: {NAMES}.")] = NAMES,
    short: Annotated[
        bool, typer.Option("--short", help="Few of everything: to see that it works.")
    ] = False,
    requests: Annotated[
        int | None, typer.Option(min=2, help="Requests of the popularity part.")
    ] = None,
    json: Json = None,
) -> None:
    """Measure what cached replies and states bring, on servers and a Redis that it starts."""
    if not start:
        raise typer.BadParameter("it needs several servers of its own: give --start")
    sizes = SHORT if short else FULL
    if requests is not None:
        sizes = replace(sizes, popularity_requests=requests)
    with errors_told():
        parts, redis_version = _measure(_choose(only), sizes, server_arg or ())
    print_findings(parts)
    figures = {name: [one.to_json() for one in found] for name, found in parts.items()}
    results = {"redis_server": redis_version, "sizes": asdict(sizes), "parts": figures}
    write_json(json, describe_run((*PACKAGES, *CACHE_PACKAGES)), results)


def _choose(names: str) -> list[str]:
    chosen = [name.strip() for name in names.split(",")]
    unknown = [name for name in chosen if name not in PARTS]
    if unknown:
        raise typer.BadParameter(f"--only: {', '.join(unknown)}: not among {NAMES}")
    return chosen


def _measure(
    names: Sequence[str], sizes: Sizes, arguments: Sequence[str]
) -> tuple[dict[str, list[Finding]], str | None]:
    """The findings of each part, and the version of Redis where one was needed."""
    with open_stage(arguments) as stage:
        gc.disable()  # a collection would look like a slow server
        try:
            return uvloop.run(_measure_all(names, sizes, stage)), stage.redis_version
        finally:
            gc.enable()


async def _measure_all(
    names: Sequence[str], sizes: Sizes, stage: Stage
) -> dict[str, list[Finding]]:
    parts = {}
    for name in names:
        typer.echo(f"{name} ...", err=True)
        began = monotonic()
        parts[name] = await PARTS[name](stage, sizes)
        typer.echo(f"{name}: {monotonic() - began:.1f} s", err=True)
        gc.collect()
    return parts


def main() -> None:
    typer.run(run)
