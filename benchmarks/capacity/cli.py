"""``python -m benchmarks.capacity``: the verbs measure, simulate, validate and report."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.capacity.costs import MEASURED, Costs
from benchmarks.capacity.settings import (
    CostOverrides,
    PlanOverrides,
    TrafficOverrides,
    load_costs,
    override,
    override_plan,
)
from benchmarks.load.options import Json, errors_told, parse_numbers
from benchmarks.load.provenance import PACKAGES, describe_run
from benchmarks.load.report import write_json

CAPACITY_PACKAGES = (*PACKAGES, "redis", "simpy")

app = typer.Typer(
    help="What a load needs: measured costs, a simulated fleet, and both compared.",
    add_completion=False,
    no_args_is_help=True,
)


@app.command()
def measure(
    model_store: Annotated[Path, typer.Option(help="Store of the model.")] = Path("model_store"),
    seconds: Annotated[float, typer.Option(min=0.05, help="Of each figure.")] = 4.0,
    json: Json = MEASURED,
) -> None:
    """Measure what the simulation is told, on this machine."""
    from os import getloadavg

    from benchmarks.cache.stage import open_stage
    from benchmarks.capacity.measure_engine import measure_engine
    from benchmarks.capacity.measure_pauses import measure_pauses
    from benchmarks.capacity.measure_server import measure_server
    from benchmarks.load.measure import Generator, start_generators

    with errors_told():
        engine = measure_engine(model_store, seconds / 4)
        with open_stage(()) as stage, start_generators(Generator()) as pool:
            found: dict[str, Any] = measure_server(stage, pool, seconds, engine)
            warm = Costs(**asdict(engine), **found)
            costs = measure_pauses(stage.near, pool, seconds, warm).to_json()
    for name, value in costs.items():
        typer.echo(f"{name}: {value}")
    results = {"load_average": getloadavg(), "costs": costs}
    write_json(json, describe_run(CAPACITY_PACKAGES), results)


@app.command()
def simulate(
    rate: Annotated[float, typer.Option(min=0.1, help="Requests per second to the fleet.")] = 1000,
    replicas: Annotated[int, typer.Option(min=1)] = 4,
    sample: Annotated[int, typer.Option(min=1, help="Replicas that are simulated.")] = 4,
    costs: Annotated[Path, typer.Option(help="What measure wrote.")] = MEASURED,
    cost: CostOverrides = None,
    traffic: TrafficOverrides = None,
    fleet: PlanOverrides = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="Simulated, after the warm-up.")] = 20.0,
    warm_up: Annotated[float, typer.Option(min=0.0)] = 3.0,
    seed: Annotated[int, typer.Option(help="Decides everything that is drawn.")] = 0,
    json: Json = None,
) -> None:
    """Simulate a fleet under a load, and print what comes of it."""
    from benchmarks.capacity.fleet_plan import FleetPlan
    from benchmarks.capacity.simulation import Timing
    from benchmarks.capacity.simulation import simulate as run
    from benchmarks.capacity.tables import print_outcome
    from benchmarks.capacity.traffic import Traffic

    plan = override_plan(FleetPlan(replicas, sample), fleet or ())
    load = override(Traffic(rate), traffic or ())
    found = run(plan, load, load_costs(costs, cost or ()), Timing(warm_up, seconds), seed=seed)
    print_outcome(found.outcome)
    if json is not None:
        write_json(json, describe_run(CAPACITY_PACKAGES), {"outcome": asdict(found.outcome)})


@app.command()
def validate(
    replicas: Annotated[str, typer.Option(help="How many at once.")] = "1,2",
    rates: Annotated[str, typer.Option(help="Requests per second to all of them.")] = "5,15,30",
    costs: Annotated[Path, typer.Option(help="What measure wrote.")] = MEASURED,
    cost: CostOverrides = None,
    seconds: Annotated[float, typer.Option(min=0.5, help="Of each load.")] = 8.0,
    warm_up: Annotated[float, typer.Option(min=0.0)] = 2.0,
    repeats: Annotated[int, typer.Option(min=1)] = 3,
    again: Annotated[
        Path | None, typer.Option(help="Load nothing: simulate the loads of this --json once more.")
    ] = None,
    json: Json = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the table to this file.")] = None,
) -> None:
    """Load real replicas on this machine, and simulate the same."""
    from benchmarks.capacity.loading import load_all, read_loads
    from benchmarks.capacity.simulation import Timing
    from benchmarks.capacity.twin import simulate_same
    from benchmarks.capacity.validate import Compared, summarize, to_markdown

    given = load_costs(costs, cost or ())
    with errors_told():
        loads = (
            read_loads(again)
            if again
            else load_all(
                [int(number) for number in parse_numbers(replicas)],
                parse_numbers(rates),
                Timing(warm_up, seconds),
                repeats,
            )
        )
    found = [Compared(one, simulate_same(one, given)) for one in loads]
    table = to_markdown(summarize(found))
    typer.echo(table)
    if markdown is not None:
        markdown.write_text(table, "utf-8")
    write_json(json, describe_run(CAPACITY_PACKAGES), {"runs": [*map(asdict, found)]})


@app.command()
def report(
    costs: Annotated[Path, typer.Option(help="What measure wrote.")] = MEASURED,
    cost: CostOverrides = None,
    seconds: Annotated[float, typer.Option(min=1.0, help="Simulated, of each load.")] = 5.0,
    scenario_seconds: Annotated[float, typer.Option(min=6.0, help="Simulated.")] = 14.0,
    output: Annotated[Path, typer.Option(help="Folder of the pictures.")] = Path("docs/capacity"),
    json: Json = None,
) -> None:
    """Simulate what docs/capacity.md shows, and draw its pictures."""
    from benchmarks.capacity.reporting import Sizes
    from benchmarks.capacity.reporting import report as run

    sizes = Sizes(scenario_seconds, seconds)
    found = run(load_costs(costs, cost or ()), output, sizes, partial(typer.echo, err=True))
    write_json(json, describe_run(CAPACITY_PACKAGES), found)


def main() -> None:
    app()
