"""A dashboard as a picture, laid out on Grafana's grid."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from PIL import Image

from benchmarks.dashboards.data import Span, read_lines
from benchmarks.dashboards.drawing import DRAWERS
from benchmarks.dashboards.looks import FAINT, INK, SMALL
from benchmarks.dashboards.panels import Dashboard, Panel
from benchmarks.testbed.prometheus import Prometheus

mpl.use("agg")  # a file, not a window
COLUMNS = 24
COLUMN_INCHES, ROW_INCHES, TITLE_INCHES = 0.6, 0.31, 0.5
# room for titles, for ticks and legends, and for the names of what has states, in inches
ABOVE, BELOW, LEFT, RIGHT = 0.3, 0.6, 0.62, 0.2
NAMES, BARE_MARGIN = 1.3, 0.1
DOTS_PER_INCH, NUM_COLORS = 90, 256
AXIS = "x: seconds since the load began"
BARE = ("stat", "table")


def draw_dashboard(path: Path, dashboard: Dashboard, prometheus: Prometheus, span: Span) -> None:
    """Draw what its panels showed in this time into a PNG."""
    rows = max(y + height for _, y, _, height in (panel.place for panel in dashboard.panels))
    size = (COLUMNS * COLUMN_INCHES, rows * ROW_INCHES + TITLE_INCHES)
    figure = Figure(figsize=size, facecolor="white")
    top = 1 - 0.32 / size[1]
    figure.text(0.01, top, dashboard.title, fontsize=13, weight="bold", color=INK)
    figure.text(0.99, top, AXIS, fontsize=SMALL, ha="right", color=FAINT)
    for panel in dashboard.panels:
        if panel.kind == "row":
            _draw_heading(figure, panel)
        else:
            _draw_panel(figure, panel, prometheus, span)
    path.parent.mkdir(parents=True, exist_ok=True)
    _save_small(figure, path)


def _save_small(figure: Figure, path: Path) -> None:
    """With few colors, because every picture stays in the repository's history."""
    whole = BytesIO()
    figure.savefig(whole, dpi=DOTS_PER_INCH)
    Image.open(whole).convert("RGB").quantize(NUM_COLORS, Image.Quantize.MAXCOVERAGE).save(
        path, optimize=True
    )


def _draw_heading(figure: Figure, panel: Panel) -> None:
    _, top = _corner(figure, panel)
    height = figure.get_figheight()
    figure.text(0.01, (top - 0.2) / height, panel.title, fontsize=9, weight="bold", color=INK)


def _draw_panel(figure: Figure, panel: Panel, prometheus: Prometheus, span: Span) -> None:
    axes = figure.add_axes(_place_axes(figure, panel))
    axes.set_title(panel.title, fontsize=SMALL + 1, loc="left", color=INK)
    DRAWERS[panel.kind](axes, panel, read_lines(prometheus, panel, span))
    if panel.kind not in BARE:
        axes.set_xlim(0, span.end - span.start)


def _place_axes(figure: Figure, panel: Panel) -> tuple[float, float, float, float]:
    """Left, bottom, width and height of a panel's inside, as parts of the figure."""
    left, top = _corner(figure, panel)
    _, _, columns, rows = panel.place
    width, height = columns * COLUMN_INCHES, rows * ROW_INCHES
    before, below = (BARE_MARGIN, BARE_MARGIN) if panel.kind in BARE else (LEFT, BELOW)
    if panel.kind == "state-timeline":
        before = NAMES
    whole_width, whole_height = figure.get_figwidth(), figure.get_figheight()
    return (
        (left + before) / whole_width,
        (top - height + below) / whole_height,
        (width - before - RIGHT) / whole_width,
        (height - ABOVE - below) / whole_height,
    )


def _corner(figure: Figure, panel: Panel) -> tuple[float, float]:
    """Upper left, in inches from the lower left of the figure."""
    x, y, _, _ = panel.place
    return x * COLUMN_INCHES, figure.get_figheight() - TITLE_INCHES - y * ROW_INCHES
