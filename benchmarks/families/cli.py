"""``python -m benchmarks.families``: what families of networks remember, cost, and promise."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import matplotlib as mpl
import typer
import uvloop
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from benchmarks.families.costs import measure_costs
from benchmarks.families.recall import NETWORKS, NUM_NAMES, TASKS, recall
from benchmarks.families.replaying import (
    Work,
    make_family_requests,
    replay_families,
    serve_families,
)
from benchmarks.load.options import NOT_EXACT, errors_told
from benchmarks.load.provenance import describe_run
from benchmarks.load.report import write_json

mpl.use("agg")  # a file, not a window
app = typer.Typer(add_completion=False, help=__doc__)
LABELS = {
    "distance": "words between the name and the question",
    "facts": "pairs of a key and a name",
}
Kept = Annotated[Path | None, typer.Option("--json", help="Keep the figures here.")]


@app.command("recall")
def run_recall(
    task: Annotated[
        list[str] | None, typer.Option(help="distance or facts; may be given again. Both.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Training steps of each network.")] = 1000,
    rows: Annotated[int, typer.Option(min=1, help="Texts that are measured, by size.")] = 512,
    plot: Annotated[Path | None, typer.Option(help="Draw the curves here.")] = None,
    json: Kept = None,
) -> None:
    """Train a network of each family to recall names, and count what it recalls when served."""
    console = Console()
    unknown = set(task or ()) - TASKS.keys()
    if unknown:
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: tasks are {', '.join(TASKS)}")
    found = {
        each: {name: recall(name, each, steps, rows, console.print) for name in NETWORKS}
        for each in task or TASKS
    }
    for each, shares in found.items():
        console.print(f"{each}: share of right names")
        _show(console, {n: {str(size): x for size, x in s.items()} for n, s in shares.items()})
    if plot is not None:
        _draw(plot, found)
    write_json(json, describe_run(), {"steps": steps, "recall": found})


@app.command("costs")
def run_costs(
    seconds: Annotated[float, typer.Option(min=0.01, help="For each network and size.")] = 6.0,
    rounds: Annotated[int, typer.Option(min=1, help="So often all take turns.")] = 6,
    json: Kept = None,
) -> None:
    """Measure size, state and speed of a served module of each family, on one thread."""
    found = measure_costs(seconds, rounds)
    _show(Console(), found)
    write_json(json, describe_run(), {"costs": found})


@app.command("replay")
def run_replay(
    replies: Annotated[int, typer.Option(min=1, help="Replies to compare.")] = 10_000,
    distinct: Annotated[int, typer.Option(min=1, help="Different requests.")] = 500,
    streams: Annotated[int, typer.Option(min=1, help="Asked at the same time.")] = 64,
    seed: Annotated[int, typer.Option(help="Decides the requests and their order.")] = 0,
    model_store: Annotated[Path, typer.Option(help="Store of the tokenizer.")] = Path(
        "model_store"
    ),
    json: Kept = None,
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


def _show(console: Console, found: dict[str, dict[str, float]]) -> None:
    table = Table("family", *next(iter(found.values())))
    for name, figures in found.items():
        table.add_row(name, *(f"{value:,.4g}" for value in figures.values()))
    console.print(table)


def _draw(path: Path, found: dict[str, dict[str, dict[int, float]]]) -> None:
    figure = Figure(figsize=(5 * len(found), 4), layout="constrained")
    for axes, (task, shares) in zip(
        figure.subplots(1, len(found), squeeze=False)[0], found.items(), strict=True
    ):
        for name, by_size in shares.items():
            axes.plot([*by_size], [100 * x for x in by_size.values()], marker="o", label=name)
        axes.axhline(100 / NUM_NAMES, color="gray", linestyle=":", label="guessing")
        axes.set_xscale("log", base=2)
        axes.set_xlabel(LABELS[task])
        axes.set_ylabel("right names, %")
        axes.grid(alpha=0.3)
        axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def main() -> None:
    """Run the command line."""
    app()
