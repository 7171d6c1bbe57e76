"""A dashboard as a picture, laid out on Grafana's grid."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from benchmarks.dashboards.data import Span, read_lines
from benchmarks.dashboards.drawing import DRAWERS, INK, SMALL
from benchmarks.dashboards.panels import Dashboard, Panel
from benchmarks.dashboards.prometheus import Prometheus

COLUMNS = 24
COLUMN_INCHES, ROW_INCHES, TITLE_INCHES = 0.6, 0.31, 0.5
# room for titles, and for ticks and legends, in inches
ABOVE, BELOW, LEFT, RIGHT = 0.3, 0.6, 0.62, 0.2
DOTS_PER_INCH, NUM_COLORS = 80, 64
BARE = ("stat", "table")


def draw_dashboard(path: Path, dashboard: Dashboard, prometheus: Prometheus, span: Span) -> None:
    """Draw what its panels showed in this time into a PNG."""
    rows = max(y + height for _, y, _, height in (panel.place for panel in dashboard.panels))
    size = (COLUMNS * COLUMN_INCHES, rows * ROW_INCHES + TITLE_INCHES)
    figure = Figure(figsize=size, facecolor="white")
    figure.text(0.01, 1 - 0.32 / size[1], dashboard.title, fontsize=13, weight="bold", color=INK)
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
    Image.open(whole).convert("RGB").quantize(NUM_COLORS).save(path, optimize=True)


def _draw_heading(figure: Figure, panel: Panel) -> None:
    _, top = _corner(figure, panel)
    height = figure.get_figheight()
    figure.text(0.01, (top - 0.2) / height, panel.title, fontsize=9, weight="bold", color=INK)


def _draw_panel(figure: Figure, panel: Panel, prometheus: Prometheus, span: Span) -> None:
    left, top = _corner(figure, panel)
    _, _, columns, rows = panel.place
    width, height = columns * COLUMN_INCHES, rows * ROW_INCHES
    margins = (0.1, 0.1) if panel.kind in BARE else (LEFT, BELOW)
    if panel.kind == "state-timeline":
        margins = (1.3, BELOW)
    inside = (
        left + margins[0],
        top - height + margins[1],
        width - margins[0] - RIGHT,
        height - ABOVE - margins[1],
    )
    inches = (figure.get_figwidth(), figure.get_figheight()) * 2
    axes = figure.add_axes(tuple(part / whole for part, whole in zip(inside, inches, strict=True)))
    axes.set_title(panel.title, fontsize=SMALL + 1, loc="left", color=INK)
    DRAWERS[panel.kind](axes, panel, read_lines(prometheus, panel, span))
    if panel.kind not in BARE:
        axes.set_xlim(0, span.end - span.start)


def _corner(figure: Figure, panel: Panel) -> tuple[float, float]:
    """Upper left, in inches from the lower left of the figure."""
    x, y, _, _ = panel.place
    return x * COLUMN_INCHES, figure.get_figheight() - TITLE_INCHES - y * ROW_INCHES
