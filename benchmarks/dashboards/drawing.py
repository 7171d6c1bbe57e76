"""Panels drawn into axes, much as Grafana draws them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, Locator, MaxNLocator, MultipleLocator

from benchmarks.dashboards.data import Line
from benchmarks.dashboards.panels import Panel
from benchmarks.dashboards.units import write_number

mpl.use("agg")  # a file, not a window
MAX_NAMED = 6
SMALL, LARGE = 6.5, 20
INK, FAINT, BAD, GOOD = "#24292e", "#8e959c", "#c4162a", "#2f7d32"
COLORS = {
    "red": "#e02f44", "orange": "#ff9830", "yellow": "#f2cc0c", "green": "#56a64b",
    "blue": "#3274d9", "purple": "#8f3bb8", "text": "#b0b7bd",
}  # fmt: skip
# internal to a table of labels that Prometheus itself adds
HIDDEN = ("__name__", "job")


def draw_number(axes: Axes, panel: Panel, lines: Sequence[Line]) -> None:
    """The last value, large."""
    axes.set_axis_off()
    value = lines[0].values[-1] if lines else float("nan")
    text = write_number(value, str(panel.defaults.get("unit", "none")))
    axes.text(0.5, 0.4, text, ha="center", va="center", fontsize=LARGE, color=_judge(panel, value))


def draw_lines(axes: Axes, panel: Panel, lines: Sequence[Line]) -> None:
    """Values over time, stacked where the panel stacks them."""
    unit = str(panel.defaults.get("unit", "none"))
    custom = panel.defaults.get("custom", {})
    is_stacked = custom.get("stacking", {}).get("mode") == "normal"
    (_stack if is_stacked else _plot)(axes, lines, _fixed_colors(panel))
    if "thresholdsStyle" in custom:
        for limit in _limits(panel):
            axes.axhline(limit, color=BAD, linewidth=0.8, linestyle="--")
    top = axes.get_ylim()[1] if any(any(line.values) for line in lines) else 1.0
    axes.set_ylim(0, 1.05 * top)
    axes.yaxis.set_major_locator(_binary_ticks(top) if unit == "bytes" else MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: write_number(value, unit)))
    _finish(axes, lines)


def draw_states(axes: Axes, panel: Panel, lines: Sequence[Line]) -> None:
    """A bar for each series, in the color of its state."""
    (mapping,) = panel.defaults["mappings"]
    states: Mapping[str, Mapping[str, str]] = mapping["options"]
    for row, line in enumerate(lines):
        for at, value in zip(line.seconds, line.values, strict=True):
            color = COLORS[states[f"{value:g}"]["color"]]
            axes.barh(row, 1, left=at, height=0.7, color=color)
    axes.set_yticks(range(len(lines)), [line.name for line in lines])
    axes.tick_params(labelsize=SMALL, colors=INK)
    for state in states.values():
        axes.barh(0, 0, color=COLORS[state["color"]], label=state["text"])
    axes.legend(**LEGEND)
    axes.set_ylim(-0.6, max(0.6, len(lines) - 0.4))
    _note_if_empty(axes, lines)


def draw_table(axes: Axes, panel: Panel, lines: Sequence[Line]) -> None:
    """The labels of every series, and its last value."""
    axes.set_axis_off()
    if not lines:
        return
    names = sorted({name for line in lines for name in line.labels} - {*HIDDEN})
    rows = [
        [*(_shorten(line.labels.get(name, "")) for name in names), f"{line.values[-1]:.4g}"]
        for line in lines
    ]
    (tidy,) = panel.document["transformations"]
    header = [*names, tidy["options"]["renameByName"]["Value"]]
    table = axes.table(rows, colLabels=header, loc="upper left", cellLoc="left", edges="horizontal")
    table.auto_set_font_size(False)
    table.set_fontsize(SMALL)
    table.auto_set_column_width(range(len(header)))


DRAWERS: Mapping[str, Callable[[Axes, Panel, Sequence[Line]], None]] = {
    "stat": draw_number,
    "timeseries": draw_lines,
    "state-timeline": draw_states,
    "table": draw_table,
}
LEGEND: dict[str, Any] = {
    "loc": "upper left", "bbox_to_anchor": (0, -0.12), "ncols": 3, "fontsize": SMALL - 0.5,
    "frameon": False, "borderaxespad": 0, "handlelength": 1, "columnspacing": 1,
}  # fmt: skip


def _plot(axes: Axes, lines: Sequence[Line], colors: Mapping[str, str]) -> None:
    for line in lines:
        # one value between two gaps is a dot
        axes.plot(
            *_with_gaps(line), label=line.name, color=colors.get(line.name), linewidth=1.1,
            marker=".", markersize=1,
        )  # fmt: skip


def _stack(axes: Axes, lines: Sequence[Line], colors: Mapping[str, str]) -> None:
    seconds = sorted({second for line in lines for second in line.seconds})
    below = [0.0] * len(seconds)
    for number, line in enumerate(lines):
        values = dict(zip(line.seconds, line.values, strict=True))
        top = [base + values.get(at, 0.0) for base, at in zip(below, seconds, strict=True)]
        axes.fill_between(
            seconds, below, top, label=line.name, color=colors.get(line.name, f"C{number}"),
            alpha=0.6, linewidth=0,
        )  # fmt: skip
        below = top


def _with_gaps(line: Line) -> tuple[list[float], list[float]]:
    """The points, with a gap wherever a second is missing."""
    xs: list[float] = []
    ys: list[float] = []
    for at, value in zip(line.seconds, line.values, strict=True):
        if xs and at - xs[-1] > 1.5:  # noqa: PLR2004 - a step and a half
            xs.append(at)
            ys.append(float("nan"))
        xs.append(at)
        ys.append(value)
    return xs, ys


def _finish(axes: Axes, lines: Sequence[Line]) -> None:
    axes.tick_params(labelsize=SMALL, colors=INK, length=2)
    axes.grid(alpha=0.25, linewidth=0.5)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    handles, names = axes.get_legend_handles_labels()
    if names:
        axes.legend(handles[:MAX_NAMED], names[:MAX_NAMED], **LEGEND)
    _note_if_empty(axes, lines)


def _note_if_empty(axes: Axes, lines: Sequence[Line]) -> None:
    if not lines:
        axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center", color=FAINT)


def _binary_ticks(top: float) -> Locator:
    """Some four, at multiples of a power of two."""
    return MultipleLocator(2.0 ** math.ceil(math.log2(top / 5)))


def _fixed_colors(panel: Panel) -> Mapping[str, str]:
    """Of the series whose color the panel chooses."""
    found = panel.document["fieldConfig"].get("overrides", [])
    return {
        one["matcher"]["options"]: COLORS[one["properties"][0]["value"]["fixedColor"]]
        for one in found
    }


def _limits(panel: Panel) -> list[float]:
    steps = panel.defaults["thresholds"]["steps"]
    return [step["value"] for step in steps if step["value"] is not None]


def _judge(panel: Panel, value: float) -> str:
    """The color of a number by the panel's thresholds."""
    name = "text"
    for step in panel.defaults["thresholds"]["steps"]:
        if step["value"] is None or value >= step["value"]:
            name = step["color"]
    return {"red": BAD, "green": GOOD}.get(name, INK)


def _shorten(text: str) -> str:
    """A digest by its beginning."""
    return text if len(text) <= 16 else f"{text[:12]}…"  # noqa: PLR2004 - as wide as an address
