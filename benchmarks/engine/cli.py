"""``python -m benchmarks.engine``: time of a decode step at several numbers of rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.engine.closed_loop import ClosedLoop
from benchmarks.engine.contestants import (
    MAX_ROWS,
    STEPS,
    Round,
    load_newest,
    make_contestants,
)
from benchmarks.load.options import parse_numbers
from benchmarks.load.provenance import describe_run
from benchmarks.load.report import write_json

Found = dict[int, dict[str, float]]  # seconds or such, by rows and name

ENGINE = "engine"
WIDTH = 110
# what the engine's speed is given as a multiple of
YARDSTICKS = (
    "products, fbgemm",
    "products, as served",
    "fp32 eager, inverse CDF",
    "ONNX Runtime fp32, inverse CDF",
    "ONNX Runtime INT8, inverse CDF",
    "stock INT8, multinomial",
    "stock INT8, inverse CDF",
)


def run(
    model_store: Annotated[Path, typer.Option(help="Store of the model.")] = Path("model_store"),
    rows: Annotated[str, typer.Option(help="Numbers of rows.")] = "1,2,4,8,16,32,64,128",
    seconds: Annotated[float, typer.Option(min=0.01, help="For each number of rows.")] = 10.0,
    json: Annotated[Path | None, typer.Option(help="Keep the figures here.")] = None,
) -> None:
    """Time decode steps on one thread, beside their matrix products and other ways to run them.

    All take turns, so that a busy moment of the machine meets each of them; the figure is the
    median of the rounds of a quantum.
    """
    model = load_newest(model_store)
    contestants = make_contestants(model)
    found: Found = {}
    scheduled: Found = {}
    for number in map(int, parse_numbers(rows)):
        if number > MAX_ROWS:
            raise typer.BadParameter(f"at most {MAX_ROWS} rows")
        rounds = {name: prepare(number) for name, prepare in contestants.items()}
        found[number] = {name: 1e6 * s / STEPS for name, s in _time(rounds, seconds).items()}
        scheduled[number] = {
            f"engine and scheduler, {lengths} lengths": ClosedLoop(
                model, number, is_mixed=lengths == "mixed"
            ).tokens_per_second(seconds / 2)
            for lengths in ("equal", "mixed")
        }
    _print("microseconds per step", found, lambda _, step: step)
    _print("tokens per second", found, lambda number, step: 1e6 * number / step)
    _print("tokens per second with prompts, places and messages", scheduled, lambda _, speed: speed)
    _print_ratios(found)
    if json is not None:
        figures = {"step_microseconds": found, "scheduled_tokens_per_second": scheduled}
        write_json(json, describe_run(), figures)


def _time(rounds: Mapping[str, Round], seconds: float) -> dict[str, float]:
    """The median seconds of each, taking turns, with its own weights in the caches."""
    spent: dict[str, list[float]] = {name: [] for name in rounds}
    stop = time.perf_counter() + seconds
    while time.perf_counter() < stop:
        for name, each in rounds.items():
            each.warm_up()
            start = time.perf_counter()
            each.timed()
            spent[name].append(time.perf_counter() - start)
    return {name: median(times) for name, times in spent.items()}


def _print(title: str, found: Found, show: Callable[[int, float], float]) -> None:
    table = _table(title, found)
    for name in next(iter(found.values())):
        values = (show(number, times[name]) for number, times in found.items())
        table.add_row(name, *(f"{value:,.0f}" for value in values))
    Console(width=WIDTH).print(table)


def _print_ratios(found: Found) -> None:
    table = _table("speed of the engine, sampling, as a multiple of", found)
    for name in YARDSTICKS:
        ratios = (times[name] / times[ENGINE] for times in found.values())
        table.add_row(name, *(f"{ratio:.2f}" for ratio in ratios))
    Console(width=WIDTH).print(table)


def _table(title: str, found: Found) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("rows", no_wrap=True)
    for number in found:
        table.add_column(str(number), justify="right")
    return table


def main() -> None:
    typer.run(run)
