"""Panels drawn into axes: large numbers, bars of states, tables; lines are in ``charts``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from matplotlib.axes import Axes

from benchmarks.dashboards.charts import draw_lines
from benchmarks.dashboards.data import Line
from benchmarks.dashboards.looks import (
    BAD,
    COLORS,
    GOOD,
    INK,
    LARGE,
    LEGEND,
    SMALL,
    note_if_empty,
    write_number,
)
from benchmarks.dashboards.panels import Panel

# of no interest in a table of labels
HIDDEN = ("__name__", "job")


def draw_number(axes: Axes, panel: Panel, lines: Sequence[Line]) -> None:
    """The last value, large."""
    axes.set_axis_off()
    value = lines[0].values[-1] if lines else float("nan")
    text = write_number(value, str(panel.defaults.get("unit", "none")))
    axes.text(0.5, 0.4, text, ha="center", va="center", fontsize=LARGE, color=_judge(panel, value))


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
    note_if_empty(axes, lines)


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
