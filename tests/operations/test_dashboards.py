"""The dashboards are those that the package writes, and in the form that Grafana reads."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from grafana_foundation_sdk.models import dashboard as grafana

from benchmarks.dashboards.panels import FOLDER, Dashboard, Panel, read_dashboards
from lstmserve_dashboards.board import Board
from lstmserve_dashboards.boards import BOARDS

HANDBOOK = Path(__file__).parents[2] / "docs" / "operations.md"
DASHBOARDS = read_dashboards()
PANELS = [
    pytest.param(panel, id=f"{dashboard.name}: {panel.title}")
    for dashboard in DASHBOARDS
    for panel in dashboard.panels
    if panel.kind != "row"
]
EACH = pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.name)
MIN_WORDS = 5


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_the_files_are_fresh(board: Board) -> None:
    written = (FOLDER / f"{board.name}.json").read_text("utf-8")
    assert written == board.to_json(), "run: python -m lstmserve_dashboards"


def test_there_are_no_other_files() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == {board.name for board in BOARDS}


@EACH
def test_grafana_can_read_a_dashboard(dashboard: Dashboard) -> None:
    read = grafana.Dashboard.from_json(dict(dashboard.document))
    assert read.uid == f"lstmserve-{dashboard.name}"
    assert read.schema_version >= 39
    numbers = [panel.document["id"] for panel in dashboard.panels]
    assert len(set(numbers)) == len(numbers)


@EACH
def test_panels_lie_beside_each_other(dashboard: Dashboard) -> None:
    cells: Counter[tuple[int, int]] = Counter()
    for panel in dashboard.panels:
        x, y, width, height = panel.place
        assert x + width <= 24
        cells.update((x + i, y + j) for i in range(width) for j in range(height))
    assert set(cells.values()) == {1}


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_says_how_to_read_it(panel: Panel) -> None:
    assert panel.description.endswith(".")
    assert len(panel.description.split()) >= MIN_WORDS
    if panel.kind in ("stat", "timeseries"):
        assert panel.defaults["unit"]
        assert panel.defaults["thresholds"]["steps"]


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_asks_the_chosen_source_about_the_chosen_servers(panel: Panel) -> None:
    for target in panel.document["targets"]:
        assert target["datasource"] == {"type": "prometheus", "uid": "$datasource"}
        for selector in re.findall(r"\blstmserve_\w+({[^}]*}|)", target["expr"]):
            assert 'job=~"$job",instance=~"$instance"' in selector
        assert not re.search(r"rate\([^\[]*\[\d", target["expr"]), "it is $__rate_interval"


def test_the_run_books_name_panels_that_exist() -> None:
    titles = {
        (dashboard.name, panel.title) for dashboard in DASHBOARDS for panel in dashboard.panels
    }
    chapter = HANDBOOK.read_text("utf-8").split("\n## Alerts\n")[1].split("\n## ")[0]
    names = "|".join(dashboard.name for dashboard in DASHBOARDS)
    named = re.findall(rf"\b({names}) / ([A-Z][\w -]*\w)", chapter)
    assert len(named) > len(DASHBOARDS)
    for dashboard, words in named:
        found = [title for name, title in titles if name == dashboard and words.startswith(title)]
        assert found, f"{dashboard} / {words}"
