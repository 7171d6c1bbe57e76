"""``python -m benchmarks.cost``: the verbs metrics, auth and constraints."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.cost.auth import compare_callers
from benchmarks.cost.events import time_alone
from benchmarks.cost.metrics import Round, compare, run_rounds
from benchmarks.load.dialect import LstmserveDialect
from benchmarks.load.driver import Closed
from benchmarks.load.findings import Finding, print_findings
from benchmarks.load.measure import Generator, Plan
from benchmarks.load.options import Json, ServerArguments, WarmUp, errors_told, parse_numbers
from benchmarks.load.provenance import describe_run
from benchmarks.load.report import name_load, write_json
from benchmarks.load.workload import CacheMode, Workload

app = typer.Typer(
    help="What a part of the server costs, on servers with it and without that take turns.",
    add_completion=False,
    no_args_is_help=True,
)


@app.command()
def metrics(
    server_arg: ServerArguments = None,
    streams: Annotated[str, typer.Option(help="Concurrent streams.")] = "1,64",
    rounds: Annotated[int, typer.Option(min=0, help="Turns of both servers; 0: none.")] = 6,
    seconds: Annotated[float, typer.Option(min=0.1, help="Of each turn.")] = 10.0,
    warm_up: WarmUp = 1.0,
    max_tokens: Annotated[int, typer.Option(min=1, help="Tokens of each reply.")] = 64,
    calls: Annotated[int, typer.Option(min=1, help="Of each event, per round.")] = 20_000,
    json: Json = None,
) -> None:
    """Compare a server that counts, and is scraped, with one that does neither."""
    parts: dict[str, list[Finding]] = {"alone, on one thread": time_alone(calls)}
    found: dict[str, list[Round]] = {}
    # from the model: a reply that is kept costs other things
    workload = Workload(seed=0, max_tokens=max_tokens, cache_mode=CacheMode.BYPASS)
    for number in map(int, parse_numbers(streams) if rounds else ()):
        load = Closed(number)
        name = name_load(load)
        typer.echo(f"{name} ...", err=True)
        plan = Plan(LstmserveDialect(), Generator(), workload, load, warm_up, seconds)
        with errors_told():
            found[name] = [*run_rounds(plan, rounds, server_arg or ())]
        parts[name] = compare(found[name])
    print_findings(parts)
    figures = {name: [each.to_json() for each in part] for name, part in parts.items()}
    measured = {name: [asdict(each) for each in rounds] for name, rounds in found.items()}
    write_json(json, describe_run(), {"findings": figures, "rounds": measured})


@app.command()
def auth(
    server_arg: ServerArguments = None,
    principals: Annotated[str, typer.Option(help="Sizes of callers' files.")] = "1,100,1000",
    blocks: Annotated[int, typer.Option(min=1, help="Turns of each server.")] = 100,
    calls: Annotated[int, typer.Option(min=1, help="Of each turn.")] = 50,
) -> None:
    """Compare servers that know their callers with one that does not, over kept replies."""
    sizes = [int(number) for number in parse_numbers(principals)]
    with errors_told():
        findings = compare_callers(sizes, blocks, calls, server_arg or ())
    print_findings({"a kept reply, unary, one caller, p50": findings})


@app.command()
def constraints(
    model_store: Annotated[Path, typer.Option(help="Store of the model.")] = Path("model_store"),
    seconds: Annotated[float, typer.Option(min=0.1, help="Of decode steps.")] = 20.0,
    repeats: Annotated[int, typer.Option(min=1, help="Of building each; the least counts.")] = 5,
    json: Json = None,
) -> None:
    """Compare decode steps with and without constraints, and time how long building takes."""
    from benchmarks.cost.constraints import (
        time_building,
        time_building_alone,
        time_steps,
    )

    parts = {
        "decode steps of 64 rows, processor time": time_steps(model_store, seconds),
        "building, processor time": time_building_alone(model_store, repeats),
        "building, as a caller waits for it": time_building(model_store, repeats),
    }
    print_findings(parts)
    figures = {name: [each.to_json() for each in part] for name, part in parts.items()}
    write_json(json, describe_run(), {"findings": figures})


@app.command()
def schemas(
    folder: Annotated[Path, typer.Argument(help="MaskBench's files: maskbench/data.")],
    model_store: Annotated[Path, typer.Option(help="Store of the model.")] = Path("model_store"),
    every: Annotated[int, typer.Option(min=1, help="Try every so many of them.")] = 1,
    json: Json = None,
) -> None:
    """Count which JSON schemas of a public test suite are served, and rightly."""
    from benchmarks.cost.constraints import open_newest
    from benchmarks.cost.schemas import try_schemas

    found = list(try_schemas(open_newest(model_store), folder, every))
    print_findings({f"JSON schemas of {folder}": found})
    write_json(json, describe_run(), {"findings": [each.to_json() for each in found]})


def main() -> None:
    app()
