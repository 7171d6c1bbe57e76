"""Colors and sizes of the pictures, near to Grafana's own."""

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


def note_if_empty(axes: Axes, lines: Sequence[Line]) -> None:
    if not lines:
        axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center", color=FAINT)
