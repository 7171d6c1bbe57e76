"""Panels about replies that keep a form, and what it takes to build one."""

from __future__ import annotations

from lstmserve_dashboards.latency import quantiles
from lstmserve_dashboards.panels import Panel, Query, lines
from lstmserve_dashboards.promql import SERVER, by, or_none, rate, select, total


def outcomes() -> Panel:
    found = by("outcome", rate("constraints_total", SERVER))
    return lines(
        "Constraints per second",
        "kept: the form was there already. built: the request waited for it. refused: it cannot be served, or takes too much. Many that are built, hour after hour: callers put changing texts into their forms.",
        "reqps",
        Query(or_none("outcome", found), "{{outcome}}"),
        stacked=True,
    )


def waiting() -> Panel:
    return lines(
        "Waiting for a constraint to be built",
        "Of requests whose form was not kept. Callers take turns, so it also grows with others that build. A gap: none was built.",
        "s",
        *quantiles("constraint_build_seconds", SERVER),
    )


def kept() -> Panel:
    return lines(
        "Memory of constraints",
        "What is kept of those used last, on all servers; each keeps at most --constraint-bytes.",
        "bytes",
        Query(total(select("constraint_bytes", SERVER)), "kept"),
    )
