"""Measurements as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.load.driver import Open
from benchmarks.load.measure import Measurement
from benchmarks.load.report import latency_rows

mpl.use("agg")  # a file, not a window
LATENCIES = ("first token", "whole reply")


def draw(path: Path, measurements: Sequence[Measurement], title: str) -> None:
    """Throughput and latency over load; the file's ending chooses the format."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    throughput, latency = figure.subplots(1, 2)
    figure.suptitle(title, fontsize="small")
    _draw_throughput(throughput, measurements)
    _draw_latency(latency, measurements)
    for axes in (throughput, latency):
        open_loop = isinstance(measurements[0].load, Open)
        axes.set_xlabel("requests per second offered" if open_loop else "concurrent streams")
        axes.set_xscale("log", base=2)
        axes.set_xticks(_positions(measurements), labels=_ticks(measurements), minor=False)
        axes.grid(alpha=0.3)
    figure.savefig(path)


def _positions(measurements: Sequence[Measurement]) -> list[float]:
    return [
        one.load.rate if isinstance(one.load, Open) else one.load.streams for one in measurements
    ]


def _ticks(measurements: Sequence[Measurement]) -> list[str]:
    return [f"{position:g}" for position in _positions(measurements)]


def _draw_throughput(axes: Axes, measurements: Sequence[Measurement]) -> None:
    rates = [one.figures.tokens_per_second for one in measurements]
    axes.plot(_positions(measurements), rates, marker="o")
    axes.set_ylabel("tokens per second")
    axes.set_ylim(bottom=0)


def _draw_latency(axes: Axes, measurements: Sequence[Measurement]) -> None:
    for color, what in enumerate(LATENCIES):
        found = [latency_rows(one.figures)[what] for one in measurements]
        for style, name in (("-", "p50"), ("--", "p99")):
            values = [getattr(percentiles, name) for percentiles in found]
            axes.plot(
                _positions(measurements), values, style, color=f"C{color}", label=f"{what} {name}"
            )
    axes.set_ylabel("milliseconds")
    axes.set_yscale("log")
    axes.legend(fontsize="small")
