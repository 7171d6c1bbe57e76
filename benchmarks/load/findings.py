"""One line of the result: what was measured, and what it should be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

NARROW = 100  # below it, rich breaks words where output is no terminal


@dataclass(frozen=True)
class Target:
    """The most or the least that a figure should be."""

    limit: float
    is_least: bool = False

    def is_met(self, value: float) -> bool:
        return value >= self.limit if self.is_least else value <= self.limit

    def __str__(self) -> str:
        return f"{'>=' if self.is_least else '<='} {self.limit:,g}"


@dataclass(frozen=True)
class Finding:
    """A figure; ``note`` says what a reader needs beside it."""

    what: str
    value: float
    unit: str = ""
    target: Target | None = None
    note: str = ""

    def to_json(self) -> dict[str, object]:
        entry: dict[str, object] = {"what": self.what, "value": self.value, "unit": self.unit}
        if self.target is not None:
            entry |= {"target": str(self.target), "is_met": self.target.is_met(self.value)}
        return {**entry, "note": self.note} if self.note else entry


def print_findings(parts: Mapping[str, Sequence[Finding]]) -> None:
    """One table for each part, on standard output."""
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, NARROW + NARROW // 2)
    for name, findings in parts.items():
        console.print(_to_table(name, findings))


def _to_table(name: str, findings: Sequence[Finding]) -> Table:
    table = Table(title=name, title_justify="left")
    table.add_column("what")
    table.add_column("figure", justify="right")
    table.add_column("target", justify="right")
    table.add_column("met")
    table.add_column("note")
    for one in findings:
        shown = f"{one.value:,.{_decimals(one)}f} {one.unit}".rstrip()
        table.add_row(escape(one.what), shown, *_describe_target(one), one.note)
    return table


def _decimals(finding: Finding) -> int:
    """As many as tell something: counts have none, and milliseconds three."""
    if finding.value == int(finding.value):
        return 0
    return 3 if abs(finding.value) < 10 else 1  # noqa: PLR2004 - three or more digits either way


def _describe_target(finding: Finding) -> tuple[str, str]:
    if finding.target is None:
        return "", ""
    return str(finding.target), "yes" if finding.target.is_met(finding.value) else "NO"
