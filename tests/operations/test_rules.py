"""The rules that ship: what they say is checked by Prometheus' own tool, and explained."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.dashboards.configuration import SHIPPED
from benchmarks.testbed.process import run_program
from lstmserve_dashboards import objectives

HANDBOOK = Path(__file__).parents[2] / "docs" / "operations.md"
RULES = sorted((SHIPPED / "rules").glob("*.yml"))
TESTS = sorted((SHIPPED / "tests").glob("*.yml"))
ANSWERS = ("**Means.**", "**Callers**", "**Look**", "**Do.**")


def promtool(*arguments: str | Path) -> None:
    done = run_program(
        ["promtool", *arguments], cwd=SHIPPED, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def alerts() -> Iterator[dict[str, Any]]:
    for path in RULES:
        for group in yaml.safe_load(path.read_text("utf-8"))["groups"]:
            yield from (rule for rule in group["rules"] if "alert" in rule)


ALERTS = {rule["alert"]: rule for rule in alerts()}


@pytest.mark.system
def test_the_configuration_and_its_rules_are_valid() -> None:
    promtool("check", "config", "prometheus.yml")


@pytest.mark.system
@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_alerts_fire_when_they_should_and_not_when_nearly(path: Path) -> None:
    promtool("test", "rules", path)


def test_every_alert_is_tested_firing_and_silent() -> None:
    checks = [
        check
        for path in TESTS
        for case in yaml.safe_load(path.read_text("utf-8"))["tests"]
        for check in case["alert_rule_test"]
    ]
    firing = {check["alertname"] for check in checks if check.get("exp_alerts")}
    silent = {check["alertname"] for check in checks if not check.get("exp_alerts")}
    assert firing == silent == ALERTS.keys()


@pytest.mark.parametrize("rule", ALERTS.values(), ids=ALERTS)
def test_an_alert_says_how_bad_it_is_what_to_do_first_and_where_to_read_on(
    rule: dict[str, Any],
) -> None:
    assert rule["labels"]["severity"] in ("page", "ticket")
    notes = rule["annotations"]
    assert len(notes["summary"]) < 80
    assert re.search(r"\. First .+\.$", notes["description"])
    assert notes["runbook_url"] == f"docs/operations.md#{rule['alert'].lower()}"


# what a dashboard draws as a line, and an alert compares with
@pytest.mark.parametrize(
    ("name", "comparison"),
    [
        ("LstmserveErrorBudgetBurn", f"> 14.4 * {objectives.MAX_FAILED}"),
        ("LstmserveFirstTokenBudgetBurn", f"> 14.4 * {1 - objectives.MIN_IN_TIME:g}"),
        ("LstmserveSlowTokens", f"< {objectives.MIN_TOKENS_PER_SECOND}"),
        ("LstmserveQualityDrift", f"> {objectives.MAX_PERPLEXITY_RATIO}"),
        ("LstmserveUnsureReplies", f"> {objectives.MAX_UNSURE}"),
        ("LstmserveRepetitiveReplies", f"< {objectives.MIN_DISTINCT_2}"),
        ("LstmserveEmptyReplies", f"> {objectives.MAX_EMPTY}"),
    ],
)
def test_alerts_and_dashboards_have_the_same_objectives(name: str, comparison: str) -> None:
    assert f"{comparison}\n" in ALERTS[name]["expr"] or f"{comparison} " in ALERTS[name]["expr"]


def sections() -> list[tuple[str, str]]:
    """Headings of the handbook's chapter on alerts, with what stands below each."""
    chapter = HANDBOOK.read_text("utf-8").split("\n## Alerts\n")[1].split("\n## ")[0]
    parts = re.split(r"^### (.+)$", chapter, flags=re.MULTILINE)[1:]
    return [*zip(parts[::2], parts[1::2], strict=True)]


def test_the_handbook_has_one_section_for_each_alert() -> None:
    assert Counter(name for name, _ in sections()) == Counter([*ALERTS])


@pytest.mark.parametrize(("name", "text"), sections(), ids=[name for name, _ in sections()])
def test_a_section_answers_what_whoever_is_woken_asks(name: str, text: str) -> None:
    positions = [text.find(answer) for answer in ANSWERS]
    assert -1 not in positions
    assert positions == sorted(positions)
    assert f"({ALERTS[name]['labels']['severity']})" in text
