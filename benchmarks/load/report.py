"""Measurements as tables, as JSON and as a plot."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.load.driver import Load, Open
from benchmarks.load.figures import Figures, Percentiles
from benchmarks.load.measure import Measurement

MEBIBYTE = 2**20
RATE_COLUMNS = (
    *("tokens/s", "requests/s", "messages/s", "tokens/message", "replies", "errors"),
    *("server cores", "MB", "peak MB", "generator cores"),
)
WIDTH = 140
LATENCY_COLUMNS = ("p50", "p90", "p99", "max")


def print_measurements(measurements: Sequence[Measurement]) -> None:
    """Two tables on standard output."""
    rates = _make_table("Rates and costs", ("load", *RATE_COLUMNS))
    latencies = _make_table("Latencies in milliseconds", ("load", "of", *LATENCY_COLUMNS))
    for measurement in measurements:
        name = name_load(measurement.load)
        rates.add_row(name, *_rate_cells(measurement))
        for what, percentiles in latency_rows(measurement.figures).items():
            latencies.add_row(name, what, *_percentile_cells(percentiles))
        latencies.add_section()
    console = make_console()
    console.print(rates)
    console.print(latencies)


def make_console() -> Console:
    """Wide enough for every column where the output is no terminal."""
    return Console() if sys.stdout.isatty() else Console(width=WIDTH)


def name_load(load: Load) -> str:
    return f"{load.rate:g} requests/s" if isinstance(load, Open) else f"{load.streams} streams"


def latency_rows(figures: Figures) -> dict[str, Percentiles]:
    return {
        "first token": figures.first_token_ms,
        "next token": figures.inter_token_ms,
        "next message": figures.inter_message_ms,
        "whole reply": figures.reply_ms,
    }


def write_json(path: Path, run: Mapping[str, object], results: Mapping[str, object]) -> None:
    """Where it comes from, then what came out; what was not observed is null."""
    content = _without_nan({**run, **results})
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", "utf-8")


def to_json(measurement: Measurement) -> dict[str, object]:
    return asdict(measurement)


def _make_table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 or column == "of" else "right")
    return table


def _rate_cells(measurement: Measurement) -> list[str]:
    figures = measurement.figures
    errors = ", ".join(f"{count} {code}" for code, count in figures.errors.items())
    return [
        f"{figures.tokens_per_second:,.0f}",
        f"{figures.requests_per_second:,.1f}",
        f"{figures.messages_per_second:,.0f}",
        f"{figures.tokens_per_message:.2f}",
        f"{figures.replies:,}",
        errors or "none",
        _share(measurement.server.cpu_seconds, figures.seconds),
        _mebibytes(measurement.server.resident_bytes),
        _mebibytes(measurement.server.peak_bytes),
        _share(measurement.generator_cpu_seconds, figures.seconds),
    ]


def _share(cpu_seconds: float | None, seconds: float) -> str:
    return "–" if cpu_seconds is None else f"{cpu_seconds / seconds:.2f}"  # noqa: RUF001 - a dash


def _mebibytes(size: int | None) -> str:
    return "–" if size is None else f"{size / MEBIBYTE:,.0f}"  # noqa: RUF001 - a dash


def _percentile_cells(percentiles: Percentiles) -> list[str]:
    return [f"{value:,.2f}" for value in asdict(percentiles).values()]


def _without_nan(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _without_nan(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(entry) for entry in value]
    return None if isinstance(value, float) and math.isnan(value) else value
