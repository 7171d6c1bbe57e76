"""``python -m benchmarks.compare``: a table of servers under the same load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.compare.contestants import (
    CONTESTANTS,
    Contestant,
    find_versions,
    start_contestant,
)
from benchmarks.compare.environments import UnavailableError, default_folder
from benchmarks.compare.table import Result, combine, describe_source, to_markdown
from benchmarks.load.driver import Closed
from benchmarks.load.measure import Generator, Measurement, Plan, measure, start_generators
from benchmarks.load.options import Json, Seconds, ServerArguments, WarmUp, parse_numbers
from benchmarks.load.provenance import describe_run
from benchmarks.load.report import write_json
from benchmarks.load.workload import Lengths, Workload
from benchmarks.testbed.process import ProgramError
from benchmarks.testbed.server import RunningServer

NAMES = ", ".join(contestant.name for contestant in CONTESTANTS)
TIMEOUT_SECONDS = 120.0
Environments = Annotated[
    Path | None,
    typer.Option(help="Where servers are installed; ~/.cache/lstmserve-benchmarks otherwise."),
]


def run(
    only: Annotated[str, typer.Option(help=f"Servers, separated by commas, of: {NAMES}.")] = "",
    streams: Annotated[str, typer.Option(help="Concurrent streams.")] = "1,8,32,64",
    lengths: Annotated[str, typer.Option(help="Kinds of reply lengths.")] = "equal,mixed",
    max_tokens: Annotated[int, typer.Option(min=1)] = 64,
    seconds: Seconds = 10.0,
    warm_up: WarmUp = 3.0,
    rounds: Annotated[
        int, typer.Option(min=1, help="All servers take turns so often; medians are told.")
    ] = 3,
    server_arg: ServerArguments = None,
    connections: Annotated[int, typer.Option(min=1)] = 1,
    environments: Environments = None,
    seed: Annotated[int, typer.Option(help="Decides every request.")] = 0,
    json: Json = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the table to this file.")] = None,
) -> None:
    """Load lstmserve and other servers of the same architecture, one after the other.

    Figures of each load are those of the round with the median of tokens/s.
    """
    kinds = [Lengths(name) for name in lengths.split(",")]
    generator = Generator(connections=connections, timeout_seconds=TIMEOUT_SECONDS)
    workload = Workload(seed=seed, max_tokens=max_tokens)
    plan = Plan(CONTESTANTS[0].dialect, generator, workload, Closed(1), warm_up, seconds)
    loads = [Closed(int(count)) for count in parse_numbers(streams)]
    folder = environments or default_folder()
    chosen = _choose(only)
    turns = [
        [_compare(one, folder, server_arg or (), plan, loads, kinds) for one in chosen]
        for _ in range(rounds)
    ]
    results = [combine(each) for each in zip(*turns, strict=True)]
    described = describe_run()
    table = f"{to_markdown(results, kinds)}\n{describe_source(described)}"
    typer.echo(table)
    asked = {"workload": asdict(workload), "lengths": [str(kind) for kind in kinds]}
    write_json(json, described, {**asked, "servers": [asdict(one) for one in results]})
    if markdown is not None:
        markdown.parent.mkdir(parents=True, exist_ok=True)
        markdown.write_text(table, "utf-8")


def _choose(names: str) -> list[Contestant]:
    if not names:
        return [*CONTESTANTS]
    known = {contestant.name: contestant for contestant in CONTESTANTS}
    chosen = names.split(",")
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise typer.BadParameter(f"--only: {', '.join(unknown)}: not among {NAMES}")
    return [known[name] for name in chosen]


def _compare(
    contestant: Contestant,
    folder: Path,
    arguments: Sequence[str],
    plan: Plan,
    loads: Sequence[Closed],
    kinds: Sequence[Lengths],
) -> Result:
    typer.echo(f"{contestant.name} ...", err=True)
    try:
        with start_contestant(contestant, folder, arguments) as server:
            measurements = _measure(contestant, server, plan, loads, kinds)
    except (UnavailableError, ProgramError) as error:
        return Result(contestant.name, contestant.what, unavailable=str(error))
    versions = find_versions(contestant, folder)
    return Result(contestant.name, contestant.what, versions, measurements)


def _measure(
    contestant: Contestant,
    server: RunningServer,
    plan: Plan,
    loads: Sequence[Closed],
    kinds: Sequence[Lengths],
) -> Mapping[Lengths, Sequence[Measurement]]:
    measurements: dict[Lengths, list[Measurement]] = {kind: [] for kind in kinds}
    with start_generators(plan.generator) as pool:
        for kind in kinds:
            workload = replace(plan.workload, lengths=kind)
            for load in loads:
                one = replace(plan, dialect=contestant.dialect, workload=workload, load=load)
                measurements[kind].append(measure(one, server, pool))
    return measurements


def main() -> None:
    typer.run(run)
