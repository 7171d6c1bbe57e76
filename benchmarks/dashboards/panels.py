"""The dashboards as Grafana reads them: their panels, and what each asks Prometheus."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "docker" / "grafana" / "dashboards"
# as a reader chooses them who wants to see all servers
ANYTHING = {"job": "lstmserve", "instance": ".+", "model": ".+", "version": ".+"}


@dataclass(frozen=True)
class Query:
    """An expression with Grafana's variables in it, and how its series are named."""

    expr: str
    legend: str

    def fill_in(self, rate_interval: str, **choices: str) -> str:
        """The expression as Grafana sends it, with all servers and models but for choices."""
        expr = self.expr.replace("$__rate_interval", rate_interval)
        for name, value in {**ANYTHING, **choices}.items():
            expr = expr.replace(f"${name}", value)
        return expr

    def name(self, labels: Mapping[str, str]) -> str:
        return re.sub(r"{{(\w+)}}", lambda found: labels.get(found[1], ""), self.legend).strip()

    @property
    def labels(self) -> set[str]:
        """Those that the names of series need."""
        return set(re.findall(r"{{(\w+)}}", self.legend))


@dataclass(frozen=True)
class Panel:
    """A panel; ``kind`` is Grafana's name of it, and a heading is a ``row``."""

    document: Mapping[str, Any]

    @property
    def kind(self) -> str:
        return str(self.document["type"])

    @property
    def title(self) -> str:
        return str(self.document["title"])

    @property
    def description(self) -> str:
        return str(self.document.get("description", ""))

    @property
    def place(self) -> tuple[int, int, int, int]:
        """x, y, width and height in Grafana's grid, which is 24 wide."""
        place = self.document["gridPos"]
        return place.get("x", 0), place.get("y", 0), place["w"], place["h"]

    @property
    def defaults(self) -> Mapping[str, Any]:
        """How its values are shown."""
        found: Mapping[str, Any] = self.document.get("fieldConfig", {}).get("defaults", {})
        return found

    @property
    def queries(self) -> list[Query]:
        return [
            Query(target["expr"], target.get("legendFormat", ""))
            for target in self.document.get("targets", ())
        ]


@dataclass(frozen=True)
class Dashboard:
    """One file."""

    name: str
    document: Mapping[str, Any]

    @property
    def title(self) -> str:
        return str(self.document["title"])

    @property
    def panels(self) -> list[Panel]:
        return [Panel(document) for document in self.document["panels"]]

    @property
    def variables(self) -> Mapping[str, str]:
        """The queries that offer choices, by the variable's name."""
        return {
            variable["name"]: variable["definition"]
            for variable in self.document["templating"]["list"]
            if variable["type"] == "query"
        }


def read_dashboards() -> list[Dashboard]:
    """All that ship, by name."""
    return [
        Dashboard(path.stem, json.loads(path.read_text("utf-8")))
        for path in sorted(FOLDER.glob("*.json"))
    ]
