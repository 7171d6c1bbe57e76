"""Pictures of docs/capacity.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.capacity.planning import Need
from benchmarks.capacity.timeline import Second

mpl.use("agg")  # a file, not a window
DOTS_PER_INCH = 70


def draw_needs(path: Path, needs: Mapping[str, Mapping[float, Need]]) -> None:
    """Draw replicas over requests per second, one line for each kind of traffic."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    replicas, redis = figure.subplots(1, 2)
    for name, found in needs.items():
        rates = [*found]
        replicas.plot(rates, [need.replicas for need in found.values()], marker="o", label=name)
        operations = [need.redis_operations_per_second for need in found.values()]
        redis.plot(rates, operations, marker="o", label=name)
    for axes, label in ((replicas, "replicas"), (redis, "Redis operations per second")):
        axes.set(xscale="log", yscale="log", xlabel="requests per second", ylabel=label)
        axes.grid(alpha=0.3)
    replicas.legend(fontsize="small")
    _save(figure, path)


def draw_latencies(path: Path, found: Mapping[float, Sequence[float]]) -> None:
    """Draw percentiles over the utilization: first token p50 and p99, reply p50 and p99."""
    figure = Figure(figsize=(5.5, 3.6), layout="constrained")
    axes = figure.subplots()
    for number, name in enumerate(("first token p50", "p99", "whole reply p50", "p99")):
        values = [row[number] for row in found.values()]
        style = "--" if number % 2 else "-"
        axes.plot([*found], values, style, marker="o", color=f"C{number // 2}", label=name)
    axes.set(yscale="log", xlabel="utilization of the fullest part", ylabel="milliseconds")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    _save(figure, path)


def draw_scenarios(path: Path, found: Mapping[str, Sequence[Second]], at: float) -> None:
    """Draw the first token's p99 and what is generated, second by second."""
    figure = Figure(figsize=(10, 4.8), layout="constrained")
    places = figure.subplots(2, 3, sharey=True).flat
    for axes, (name, seconds) in zip(places, found.items(), strict=True):
        moments = [one.second for one in seconds]
        axes.plot(moments, [one.first_p99 for one in seconds], label="first token p99, ms")
        axes.plot(moments, [one.first_p50 for one in seconds], label="p50, ms")
        shares = axes.twinx()
        shares.plot(moments, [one.generated_share for one in seconds], "C2:", label="generated")
        shares.plot(moments, [one.failed_share for one in seconds], "C3:", label="failed")
        shares.set_ylim(0, 1)
        axes.axvline(at, color="gray", alpha=0.5)
        axes.set_title(name, fontsize="small")
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
    handles, labels = axes.get_legend_handles_labels()
    others = shares.get_legend_handles_labels()
    figure.legend(
        handles + others[0], labels + others[1], loc="outside lower center", ncols=4, fontsize=8
    )
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=DOTS_PER_INCH)
