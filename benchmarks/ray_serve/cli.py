"""``python -m benchmarks.ray_serve``: what Ray's proxy and replicas cost a caller."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Annotated

import numpy as np
import typer

from benchmarks.cache.caller import connect, encode
from benchmarks.cache.fleet import open_fleet
from benchmarks.load.dialect import UNARY, LstmserveDialect
from benchmarks.load.driver import Closed
from benchmarks.load.figures import Percentiles
from benchmarks.load.findings import Finding, print_findings
from benchmarks.load.measure import Generator, Plan, measure, start_generators
from benchmarks.load.options import (
    Json,
    Seconds,
    ServerArguments,
    WarmUp,
    errors_told,
    parse_numbers,
)
from benchmarks.load.provenance import describe_run
from benchmarks.load.report import name_load, write_json
from benchmarks.load.workload import CacheMode, Workload
from benchmarks.testbed.ray_serve import RayServe
from benchmarks.testbed.server import RunningServer, start_server

TOKENS = 64
TIMEOUT_SECONDS = 120.0
KEPT_PROMPT = "where is my refund?"
KEPT = "kept reply, one caller"
Start = Callable[[int, Sequence[str]], AbstractContextManager[RunningServer]]


def _start_alone(_: int, arguments: Sequence[str]) -> AbstractContextManager[RunningServer]:
    return start_server(arguments)


@contextmanager
def _start_behind_haproxy(replicas: int, arguments: Sequence[str]) -> Iterator[RunningServer]:
    with open_fleet(replicas, arguments) as fleet, fleet.balanced(replicas) as balancer:
        yield RunningServer(balancer.target)


@contextmanager
def _start_in_ray(replicas: int, arguments: Sequence[str]) -> Iterator[RunningServer]:
    with RayServe(arguments, min_replicas=replicas, max_replicas=replicas) as running:
        yield RunningServer(running.target, pid=running.pid)


PLAIN = "one server"
WAYS: Mapping[str, Start] = {
    PLAIN: _start_alone,
    "HAProxy": _start_behind_haproxy,
    "Ray Serve": _start_in_ray,
}


@dataclass(frozen=True)
class Seen:
    """One way under one load in one round; milliseconds of first tokens, or of kept replies."""

    p50: float
    p99: float
    tokens_per_second: float | None = None
    failures: int = 0


Round = Mapping[str, Seen]  # by load


def run(
    replicas: Annotated[int, typer.Option(min=1, help="Behind HAProxy, and in Ray.")] = 2,
    streams: Annotated[str, typer.Option(help="Concurrent streams.")] = "1,8,64",
    seconds: Seconds = 5.0,
    warm_up: WarmUp = 2.0,
    rounds: Annotated[int, typer.Option(min=1, help="All take turns so often.")] = 3,
    calls: Annotated[int, typer.Option(min=1, help="Of kept replies, per round.")] = 300,
    server_arg: ServerArguments = None,
    json: Json = None,
) -> None:
    """Load servers through Ray's gRPC proxy, through HAProxy, and one server without either.

    All run the whole time, and one at a time is loaded. Figures are medians of the rounds.
    """
    workload = Workload(max_tokens=TOKENS, cache_mode=CacheMode.BYPASS)
    generator = Generator(timeout_seconds=TIMEOUT_SECONDS)
    loads = [Closed(int(count)) for count in parse_numbers(streams)]
    plan = Plan(LstmserveDialect(), generator, workload, loads[0], warm_up, seconds)
    found: dict[str, list[Round]] = {name: [] for name in WAYS}
    with errors_told(), ExitStack() as stack:
        servers = {
            name: stack.enter_context(start(replicas, server_arg or ()))
            for name, start in WAYS.items()
        }
        pool = stack.enter_context(start_generators(generator))
        for number in range(rounds):
            typer.echo(f"round {number + 1} of {rounds} ...", err=True)
            for name, each in _measure_round(plan, loads, calls, servers, pool).items():
                found[name].append(each)
            # another one follows Ray, which may still have something to tidy up
            servers = dict(reversed(servers.items()))
    print_findings({load: _describe(load, found) for load in found[PLAIN][0]})
    told = {name: [_to_json(each) for each in all_] for name, all_ in found.items()}
    asked = {"workload": asdict(workload), "replicas": replicas, "calls": calls}
    write_json(json, describe_run(), {**asked, "rounds": told})


def _measure_round(
    plan: Plan,
    loads: Sequence[Closed],
    calls: int,
    servers: Mapping[str, RunningServer],
    pool: Executor,
) -> dict[str, Round]:
    """All take turns under each load, so that a busy moment of the machine meets each of them."""
    seen: dict[str, dict[str, Seen]] = {name: {} for name in servers}
    for load in loads:
        for name, server in servers.items():
            seen[name][name_load(load)] = _load(replace(plan, load=load), server, pool)
    for name, server in servers.items():
        seen[name][KEPT] = asyncio.run(_ask_for_kept(server, calls))
    return {**seen}


def _load(plan: Plan, server: RunningServer, pool: Executor) -> Seen:
    figures = measure(plan, server, pool).figures
    first = figures.first_token_ms
    failures = sum(figures.errors.values())
    return Seen(first.p50, first.p99, figures.tokens_per_second, failures)


async def _ask_for_kept(server: RunningServer, calls: int) -> Seen:
    """Time those that come from the cache: each replica makes it once or twice before it is."""
    request = encode(KEPT_PROMPT, TOKENS)
    seconds: list[float] = []
    async with connect(server) as caller:
        await caller.call_until_hit(UNARY, request)
        while len(seconds) < calls:
            reply = await caller.call(UNARY, request)
            if reply.outcome == "hit":
                seconds.append(reply.seconds)
    kept = Percentiles.of_seconds(np.array(seconds))
    return Seen(kept.p50, kept.p99)


def _describe(load: str, found: Mapping[str, Sequence[Round]]) -> list[Finding]:
    seen = {name: [each[load] for each in rounds] for name, rounds in found.items()}
    what = "reply" if load == KEPT else "first token"
    findings = []
    if load != KEPT:
        findings += _compare("tokens/s", "", seen, lambda each: each.tokens_per_second or 0.0)
        findings += _compare("failures", "", seen, lambda each: each.failures)
    findings += _compare(f"{what}, p50", "ms", seen, lambda each: each.p50)
    findings += _compare(f"{what}, p99", "ms", seen, lambda each: each.p99)
    return findings


def _compare(
    what: str, unit: str, seen: Mapping[str, Sequence[Seen]], read: Callable[[Seen], float]
) -> list[Finding]:
    """Return the median of each way, and how it is to that of the plain server."""
    medians = {name: median(map(read, rounds)) for name, rounds in seen.items()}
    plain = medians[PLAIN]
    return [
        Finding(f"{name}, {what}", value, unit, note=f"{value / plain:.2f}" if plain else "")
        for name, value in medians.items()
    ]


def _to_json(seen: Round) -> dict[str, object]:
    return {load: asdict(each) for load, each in seen.items()}


def main() -> None:
    typer.run(run)
