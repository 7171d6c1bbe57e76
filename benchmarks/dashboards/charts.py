"""Values over time, as lines or stacked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, Locator, MaxNLocator, MultipleLocator

from benchmarks.dashboards.data import STEP_SECONDS, Line
from benchmarks.dashboards.looks import BAD, COLORS, INK, LEGEND, SMALL, note_if_empty, write_number
from benchmarks.dashboards.panels import Panel

MAX_NAMED = 6


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
    axes.set_ylim(-0.015 * top, 1.05 * top)  # so that a line of zeros can be seen
    axes.yaxis.set_major_locator(_binary_ticks(top) if unit == "bytes" else MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: write_number(value, unit)))
    _finish(axes, lines)


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
        if xs and at - xs[-1] > 1.5 * STEP_SECONDS:
            xs.append(at)
            ys.append(float("nan"))
        xs.append(at)
        ys.append(value)
    return xs, ys


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


def _binary_ticks(top: float) -> Locator:
    """Some four, at multiples of a power of two."""
    return MultipleLocator(2.0 ** math.ceil(math.log2(top / 5)))


def _finish(axes: Axes, lines: Sequence[Line]) -> None:
    axes.tick_params(labelsize=SMALL, colors=INK, length=2)
    axes.grid(alpha=0.25, linewidth=0.5)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    handles, names = axes.get_legend_handles_labels()
    if names:
        axes.legend(handles[:MAX_NAMED], names[:MAX_NAMED], **LEGEND)
    note_if_empty(axes, lines)
