"""What the step ``classify`` tells a person, and the manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Column, Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

SHOWN_CONFUSIONS = 10


def show_report(report: Mapping[str, Any], console: Console) -> None:
    """Measures, a column for each set; then what is taken for what most often."""
    sets = report["sets"]
    table = Table(Column("measure", overflow="fold"), caption=_caption(report))
    for name in sets:
        table.add_column(escape(name), justify="right")
    for measure in dict.fromkeys(key for found in sets.values() for key in found["measures"]):
        values = [found["measures"].get(measure, "") for found in sets.values()]
        table.add_row(measure, *(f"{v:.4f}" if isinstance(v, float) else str(v) for v in values))
    console.print(table)
    for name, found in sets.items():
        listed = found["confusions"][:SHOWN_CONFUSIONS]
        if listed:
            lines = ", ".join(f"{asked} as {named} ({count})" for asked, named, count in listed)
            text = f"{name}: most often mistaken: {lines}"
            console.print(text, markup=False, highlight=False, soft_wrap=True)


def manifest_measures(report: Mapping[str, Any]) -> dict[str, float | int | str]:
    """The measures by names that tell the set: ``classifier_accuracy_held_out``."""
    return {
        f"classifier_{measure}_{_slug(name)}": value
        for name, found in report["sets"].items()
        for measure, value in found["measures"].items()
    }


def _caption(report: Mapping[str, Any]) -> str:
    return (
        f"{report['labels']} labels, trained on {report['trained_on']:,} questions, "
        f"{report['bytes']:,} bytes"
    )


def _slug(name: str) -> str:
    return "_".join("".join(c if c.isalnum() else " " for c in name.lower()).split())
