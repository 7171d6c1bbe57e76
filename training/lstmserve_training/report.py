"""The evaluation as a table: a row per measure, a column per model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Column, Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Value = float | int | str
SHARE_LIMIT = 1.0


def make_table(measures: Mapping[str, Value], models: Sequence[str]) -> Table:
    """Measures whose key ends in a model's name become columns; the rest goes below."""
    # the longest name first: "stock_int8" ends in "int8"
    by_length = sorted(models, key=len, reverse=True)
    rows: dict[str, dict[str, Value]] = {}
    facts = []
    for key, value in measures.items():
        model = next((model for model in by_length if key.endswith(f"_{model}")), None)
        if model is None:
            facts.append(f"{key} {value}")
        else:
            rows.setdefault(key.removesuffix(f"_{model}"), {})[model] = value
    table = Table(Column("measure", overflow="fold"), caption=", ".join(facts))
    for model in models:
        table.add_column(model, justify="right")
    for name, values in rows.items():
        table.add_row(name, *(_show(values.get(model, "")) for model in models))
    return table


def _show(value: Value) -> str:
    if isinstance(value, float):
        return f"{value:.4f}" if abs(value) <= SHARE_LIMIT else f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else value
