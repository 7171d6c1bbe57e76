"""Pictures of dashboards, of a Prometheus that answers everything alike."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from benchmarks.dashboards.configuration import address_of
from benchmarks.dashboards.data import Span, read_lines
from benchmarks.dashboards.looks import write_number
from benchmarks.dashboards.panels import Dashboard, Panel, Query, read_dashboards
from benchmarks.dashboards.picture import draw_dashboard
from benchmarks.testbed.prometheus import Prometheus, Series

SPAN = Span(1000.0, 1010.0)
MAX_BYTES = 150_000
LABELS = {"instance": "a:9464", "model": "m", "version": "1"}


class Constant(Prometheus):
    """The same series for every expression, with one value that is none."""

    def __init__(self, *labels: dict[str, str]) -> None:
        super().__init__("http://nowhere")
        self._labels = labels

    def query_range(self, expr: str, start: float, end: float, step: float) -> list[Series]:
        values = [1.0, float("nan"), 1.0]
        points = tuple((start + 2 * n, value) for n, value in enumerate(values))
        return [Series(labels, points) for labels in self._labels]


def make_panel(*queries: Query) -> Panel:
    return Panel({"targets": [{"expr": one.expr, "legendFormat": one.legend} for one in queries]})


@pytest.mark.parametrize("dashboard", read_dashboards(), ids=lambda dashboard: dashboard.name)
def test_a_dashboard_is_drawn_small(dashboard: Dashboard, tmp_path: Path) -> None:
    path = tmp_path / "pictures" / "one.png"
    draw_dashboard(path, dashboard, Constant(LABELS), SPAN)
    assert path.stat().st_size < MAX_BYTES
    with Image.open(path) as picture:
        assert picture.width > 1000
        assert len(picture.getcolors() or ()) > 2


def test_panels_without_data_are_drawn_too(tmp_path: Path) -> None:
    dashboard = read_dashboards()[0]
    full, empty = tmp_path / "full.png", tmp_path / "empty.png"
    draw_dashboard(full, dashboard, Constant(LABELS), SPAN)
    draw_dashboard(empty, dashboard, Constant(), SPAN)
    assert full.read_bytes() != empty.read_bytes()


def test_series_are_named_as_grafana_names_them_and_lack_what_is_not_a_number() -> None:
    panel = make_panel(Query("up", "{{instance}} of {{model}}"))
    (line,) = read_lines(Constant(LABELS), panel, SPAN)
    assert line.name == "a:9464 of m"
    assert line.seconds == (0.0, 4.0)
    assert line.values == (1.0, 1.0)


def test_what_stands_in_for_nothing_is_left_out_beside_something() -> None:
    panel, stand_in = make_panel(Query("up", "{{kind}}")), {"kind": "none"}
    assert [line.name for line in read_lines(Constant(stand_in), panel, SPAN)] == ["none"]
    both = Constant(stand_in, {"kind": "timeout"})
    assert [line.name for line in read_lines(both, panel, SPAN)] == ["timeout"]


def test_variables_are_filled_in_as_a_reader_chooses() -> None:
    query = Query('rate(a{job=~"$job",instance=~"$instance"}[$__rate_interval])', "")
    assert query.fill_in("5s", instance="b") == 'rate(a{job=~"lstmserve",instance=~"b"}[5s])'


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0123, "percentunit", "1.23 %"),
        (3 * 2**29, "bytes", "1.5 GiB"),
        (12, "bytes", "12 B"),
        (0, "s", "0 s"),
        (0.00002, "s", "20 µs"),
        (0.0021, "s", "2.1 ms"),
        (90, "s", "1.5 min"),
        (12_345, "none", "12.3 k"),
        (0.5, "reqps", "0.5 req/s"),
    ],
)
def test_numbers_are_written_for_people(value: float, unit: str, text: str) -> None:
    assert write_number(value, unit) == text


def test_a_target_is_named_by_its_address() -> None:
    assert address_of("http://127.0.0.1:9464/metrics") == "127.0.0.1:9464"
    with pytest.raises(ValueError, match="not the address"):
        address_of("127.0.0.1:9464")
