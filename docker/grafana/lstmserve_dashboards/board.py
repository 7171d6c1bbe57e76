"""A dashboard: rows of panels under the same choices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders.dashboard import Dashboard, DashboardLink, Row
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync, DashboardLinkType

from lstmserve_dashboards.panels import Panel
from lstmserve_dashboards.variables import make_variables

TAG = "lstmserve"


@dataclass(frozen=True)
class Section:
    """Panels under a heading, laid out from left to right."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True)
class Board:
    """``name`` is that of its file and in its address."""

    name: str
    title: str
    description: str
    sections: Sequence[Section]

    def to_json(self) -> str:
        """The file as Grafana reads it; the same text for the same board."""
        return JSONEncoder(sort_keys=True, indent=2).encode(self._lay_out().build()) + "\n"

    def _lay_out(self) -> Dashboard:
        board = (
            Dashboard(f"lstmserve: {self.title}").uid(f"lstmserve-{self.name}")
            .description(self.description)
            .tags([TAG]).readonly().timezone("browser").refresh("30s").time("now-1h", "now")
            .tooltip(DashboardCursorSync.CROSSHAIR)
            .link(_link_to_others())
        )  # fmt: skip
        for variable in make_variables():
            board.with_variable(variable)
        number = 0
        for section in self.sections:
            board.with_row(Row(section.title).id(number := number + 1))
            for panel in section.panels:
                board.with_panel(panel.id(number := number + 1))
        return board


def _link_to_others() -> DashboardLink:
    link = DashboardLink("lstmserve").type(DashboardLinkType.DASHBOARDS).tags([TAG])
    return (
        link.as_dropdown(as_dropdown=False)
        .include_vars(include_vars=True)
        .keep_time(keep_time=True)
    )
