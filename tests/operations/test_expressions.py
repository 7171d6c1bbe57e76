"""Dashboards and rules ask for what servers really export, by its very name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path

import pytest
import yaml

from benchmarks.dashboards.configuration import SHIPPED
from benchmarks.dashboards.panels import Query, read_dashboards
from lstmserve_server.replies.reply import ReplyOutcome
from lstmserve_server.telemetry.calls import OUTCOMES, REJECTIONS
from lstmserve_server.telemetry.metrics import MODEL_STATES
from support.observed import Observed
from support.promql import find_needs

pytestmark = pytest.mark.system  # Prometheus

Labels = Mapping[str, Mapping[str, AbstractSet[str]]]
# closed sets of which a well server shows only some
CLOSED: Mapping[tuple[str, str], AbstractSet[str]] = {
    ("lstmserve_requests_total", "outcome"): {*OUTCOMES.values()},
    ("lstmserve_rejected_total", "reason"): {*REJECTIONS.values()},
    ("lstmserve_model_state", "state"): {*MODEL_STATES},
    ("lstmserve_model_loads_total", "outcome"): {"ok", "failed"},
    ("lstmserve_reply_outcomes_total", "outcome"): {each.value for each in ReplyOutcome},
    ("up", "job"): {"lstmserve", "proxy"},
    ("ALERTS", "alertstate"): {"pending", "firing"},
}
CHOICES = re.compile(r"label_values\((.+), (\w+)\)")


def expressions() -> Iterator[object]:
    for dashboard in read_dashboards():
        for panel in dashboard.panels:
            for number, query in enumerate(panel.queries):
                named = f"{dashboard.name}: {panel.title} {number}"
                yield pytest.param(query.fill_in("1m"), id=named)
        for name, definition in dashboard.variables.items():
            offered = CHOICES.fullmatch(definition)
            assert offered is not None, definition
            expr = f"count by ({offered[2]}) ({Query(offered[1], '').fill_in('1m')})"
            yield pytest.param(expr, id=f"{dashboard.name}: ${name}")
    for path in sorted((SHIPPED / "rules").glob("*.yml")):
        yield from rules(path)


def rules(path: Path) -> Iterator[object]:
    for group in yaml.safe_load(path.read_text("utf-8"))["groups"]:
        for rule in group["rules"]:
            yield pytest.param(rule["expr"], id=rule.get("alert") or rule["record"])


@pytest.fixture(scope="module")
def exported(observed: Observed) -> Labels:
    """The labels of every metric and their values, as Prometheus has stored them."""
    return observed.prometheus.find_labels()


@pytest.mark.parametrize("expr", [*expressions()])
def test_metrics_and_labels_of_an_expression_exist(exported: Labels, expr: str) -> None:
    needed = find_needs(expr)
    assert needed.keys() - exported.keys() == set()
    for metric, needs in needed.items():
        assert needs.labels - exported[metric].keys() == set(), metric


@pytest.mark.parametrize("expr", [*expressions()])
def test_values_that_an_expression_asks_for_exist(exported: Labels, expr: str) -> None:
    for metric, needs in find_needs(expr).items():
        for label, values in needs.values.items():
            closed = CLOSED.get((metric, label))
            known = exported[metric].get(label, set()) if closed is None else closed
            named = {value for value in values if ".+" not in value}
            assert named - known == set(), (metric, label)
