"""``python -m benchmarks.families``: what each family of networks remembers, and what it costs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import matplotlib as mpl
import typer
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from benchmarks.families.costs import measure_costs
from benchmarks.families.recall import NETWORKS, NUM_NAMES, recall
from benchmarks.load.provenance import describe_run
from benchmarks.load.report import write_json

mpl.use("agg")  # a file, not a window
app = typer.Typer(add_completion=False, help=__doc__)
Kept = Annotated[Path | None, typer.Option("--json", help="Keep the figures here.")]


@app.command("recall")
def run_recall(
    longest: Annotated[int, typer.Option(min=2, max=256, help="Words in between, at most.")] = 256,
    steps: Annotated[int, typer.Option(min=1, help="Training steps of each network.")] = 1000,
    rows: Annotated[int, typer.Option(min=1, help="Texts that are measured, by distance.")] = 512,
    plot: Annotated[Path | None, typer.Option(help="Draw the curves here.")] = None,
    json: Kept = None,
) -> None:
    """Train a network of each family to recall a name, and count what it recalls when served."""
    console = Console()
    found = {name: recall(name, longest, steps, rows, console.print) for name in NETWORKS}
    _show(console, {name: {str(n): s for n, s in each.items()} for name, each in found.items()})
    if plot is not None:
        _draw(plot, found)
    write_json(json, describe_run(), {"longest": longest, "steps": steps, "recall": found})


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


def _show(console: Console, found: dict[str, dict[str, float]]) -> None:
    table = Table("family", *next(iter(found.values())))
    for name, figures in found.items():
        table.add_row(name, *(f"{value:,.4g}" for value in figures.values()))
    console.print(table)


def _draw(path: Path, found: dict[str, dict[int, float]]) -> None:
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for name, shares in found.items():
        axes.plot([*shares], [100 * share for share in shares.values()], marker="o", label=name)
    axes.axhline(100 / NUM_NAMES, color="gray", linestyle=":", label="guessing")
    axes.set_xscale("log", base=2)
    axes.set_xlabel("words between the name and the question")
    axes.set_ylabel("right names, %")
    axes.grid(alpha=0.3)
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def main() -> None:
    """Run the command line."""
    app()
