"""Every panel shows something, with a server that is busy and with one that is not."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

from benchmarks.dashboards.panels import Panel, Query, read_dashboards
from benchmarks.testbed.prometheus import Series
from support.observed import Observed, Watched

pytestmark = pytest.mark.system  # Prometheus

# as much as there is
RATE_INTERVAL = "2m"


def panels() -> Iterator[object]:
    for dashboard in read_dashboards():
        for panel in dashboard.panels:
            if panel.kind != "row":
                yield pytest.param(panel, id=f"{dashboard.name}: {panel.title}")


def ask(observed: Observed, query: Query, server: Watched) -> list[Series]:
    """What Grafana would get for this server alone, without what is no number."""
    expr = query.fill_in(RATE_INTERVAL, instance=server.instance)
    found = observed.prometheus.query(expr, server.at)
    return [series for series in found if math.isfinite(series.last)]


@pytest.mark.parametrize("panel", [*panels()])
def test_a_busy_server_fills_every_query_of_a_panel(observed: Observed, panel: Panel) -> None:
    for query in panel.queries:
        assert ask(observed, query, observed.busy), query.expr


@pytest.mark.parametrize("panel", [*panels()])
def test_series_have_the_labels_that_they_are_named_by(observed: Observed, panel: Panel) -> None:
    for query in panel.queries:
        for series in ask(observed, query, observed.busy):
            if "none" not in series.labels.values():
                assert query.labels <= series.labels.keys(), query.expr


@pytest.mark.parametrize("title", ["Rows per decode call", "Time of a decode step"])
def test_what_was_not_decoded_took_no_time_at_all(observed: Observed, title: str) -> None:
    """A gap, where a zero would spoil the mean."""
    (panel,) = (p for board in read_dashboards() for p in board.panels if p.title == title)
    for query in panel.queries:
        assert not ask(observed, query, observed.idle), query.expr


@pytest.mark.parametrize("panel", [*panels()])
def test_an_idle_server_leaves_only_gaps_that_a_panel_explains(
    observed: Observed, panel: Panel
) -> None:
    is_explained = "gap" in panel.description
    for query in panel.queries:
        assert is_explained or ask(observed, query, observed.idle), query.expr
