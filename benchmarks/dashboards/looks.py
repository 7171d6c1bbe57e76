"""Colors, sizes and numbers of the pictures, near to Grafana's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes

from benchmarks.dashboards.data import Line

SMALL, LARGE = 6.5, 20
INK, FAINT, BAD, GOOD = "#24292e", "#8e959c", "#c4162a", "#2f7d32"
COLORS = {
    "red": "#e02f44", "orange": "#ff9830", "yellow": "#f2cc0c", "green": "#56a64b",
    "blue": "#3274d9", "purple": "#8f3bb8", "text": "#b0b7bd",
}  # fmt: skip
LEGEND: dict[str, Any] = {
    "loc": "upper left", "bbox_to_anchor": (0, -0.12), "ncols": 3, "fontsize": SMALL - 0.5,
    "frameon": False, "borderaxespad": 0, "handlelength": 1, "columnspacing": 1,
}  # fmt: skip
THOUSANDS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
BINARY = ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"))
SECONDS = ((60.0, "min", 60.0), (1.0, "s", 1.0), (1e-3, "ms", 1e-3), (0.0, "µs", 1e-6))
SUFFIXES = {"reqps": " req/s", "ops": " ops/s"}


def note_if_empty(axes: Axes, lines: Sequence[Line]) -> None:
    if not lines:
        axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center", color=FAINT)


def write_number(value: float, unit: str) -> str:
    """A value in a unit of Grafana's, with three digits."""
    if unit == "percentunit":
        return f"{100 * value:.3g} %"
    if unit == "bytes":
        return _scale(value, BINARY) or f"{value:.3g} B"
    if unit == "s":
        return _write_seconds(value)
    return (_scale(value, THOUSANDS) or f"{value:.3g}") + SUFFIXES.get(unit, "")


def _scale(value: float, steps: tuple[tuple[float, str], ...]) -> str:
    for size, name in steps:
        if abs(value) >= size:
            return f"{value / size:.3g} {name}"
    return ""


def _write_seconds(value: float) -> str:
    if value == 0:
        return "0 s"
    for least, name, size in SECONDS:
        if abs(value) >= least:
            return f"{value / size:.3g} {name}"
    raise AssertionError("every duration is at least 0 µs")
