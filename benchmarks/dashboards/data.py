"""What the panels of a dashboard show over a time, asked of Prometheus as Grafana asks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.dashboards.panels import Panel, Query
from benchmarks.testbed.prometheus import Prometheus, Series

RATE_INTERVAL = "5s"
STEP_SECONDS = 1.0


@dataclass(frozen=True)
class Span:
    """Unix times."""

    start: float
    end: float


@dataclass(frozen=True)
class Line:
    """A series of a panel by its name; values that are none are left out."""

    name: str
    labels: Mapping[str, str]
    seconds: tuple[float, ...]  # since the start of the span
    values: tuple[float, ...]


def read_lines(prometheus: Prometheus, panel: Panel, span: Span) -> list[Line]:
    """All series of a panel that have any value."""
    lines = [
        _to_line(query, series, span)
        for query in panel.queries
        for series in _ask(prometheus, query, span)
    ]
    shown = [line for line in lines if line.values]
    # what stands in while there is nothing is of no interest beside what there was later
    return [line for line in shown if "none" not in line.labels.values()] or shown


def _ask(prometheus: Prometheus, query: Query, span: Span) -> list[Series]:
    expr = query.fill_in(RATE_INTERVAL)
    return prometheus.query_range(expr, span.start, span.end, STEP_SECONDS)


def _to_line(query: Query, series: Series, span: Span) -> Line:
    points = [(time - span.start, value) for time, value in series.points if math.isfinite(value)]
    seconds, values = tuple(time for time, _ in points), tuple(value for _, value in points)
    return Line(query.name(series.labels), series.labels, seconds, values)
