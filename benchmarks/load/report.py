"""What a verb shows: how far it is, measurements as a table, results as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.load.driver import Load, Open
from benchmarks.load.figures import Figures, Percentiles
from benchmarks.load.measure import Measurement

MEBIBYTE = 2**20
UNKNOWN = "-"


def print_measurements(measurements: Sequence[Measurement]) -> None:
    """One column for each load, on standard output."""
    table = Table()
    table.add_column()
    for measurement in measurements:
        table.add_column(name_load(measurement.load), justify="right", overflow="fold")
    groups = [_describe(measurement) for measurement in measurements]
    for rows in zip(*groups, strict=True):
        for name in rows[0]:
            table.add_row(name, *(row[name] for row in rows))
        table.add_section()
    Console().print(table)


def name_load(load: Load) -> str:
    if isinstance(load, Open):
        return f"{load.rate:g} requests/s"
    return f"{load.streams} stream{'' if load.streams == 1 else 's'}"


def latency_rows(figures: Figures) -> dict[str, Percentiles]:
    return {
        "first token": figures.first_token_ms,
        "next token": figures.inter_token_ms,
        "next message": figures.inter_message_ms,
        "whole reply": figures.reply_ms,
    }


@contextmanager
def show_progress(what: str, total: int | None) -> Iterator[Callable[[int], object]]:
    """Within it, show how many are done, which is told to what this yields."""
    with Progress(transient=True) as progress:
        bar = progress.add_task(what, total=total)
        yield lambda done: progress.update(bar, completed=done)


def write_json(path: Path | None, run: Mapping[str, object], results: Mapping[str, object]) -> None:
    """Where it comes from, then what came out; what was not observed is null.

    Without a path nothing is written.
    """
    if path is None:
        return
    content = _without_nan({**run, **results})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", "utf-8")


def _describe(measurement: Measurement) -> list[dict[str, str]]:
    """Groups of rows: what it is, and how much."""
    latencies = [
        {f"{what}, {name}, ms": f"{value:,.2f}" for name, value in asdict(percentiles).items()}
        for what, percentiles in latency_rows(measurement.figures).items()
    ]
    return [_describe_rates(measurement.figures), *latencies, _describe_costs(measurement)]


def _describe_rates(figures: Figures) -> dict[str, str]:
    errors = ", ".join(f"{count:,} {code}" for code, count in figures.errors.items())
    return {
        "tokens/s": f"{figures.tokens_per_second:,.0f}",
        "requests/s": f"{figures.requests_per_second:,.1f}",
        "messages/s": f"{figures.messages_per_second:,.0f}",
        "tokens/message": f"{figures.tokens_per_message:.2f}",
        "replies": f"{figures.replies:,}",
        "errors": errors or "none",
    }


def _describe_costs(measurement: Measurement) -> dict[str, str]:
    server, seconds = measurement.server, measurement.figures.seconds
    return {
        "server, cores": _share(server.cpu_seconds, seconds),
        "server, resident MB": _mebibytes(server.resident_bytes),
        "server, peak MB": _mebibytes(server.peak_bytes),
        "generator, cores": _share(measurement.generator_cpu_seconds, seconds),
        "generator, CPU s": f"{measurement.generator_cpu_seconds:.2f}",
    }


def _share(cpu_seconds: float | None, seconds: float) -> str:
    return UNKNOWN if cpu_seconds is None else f"{cpu_seconds / seconds:.2f}"


def _mebibytes(size: int | None) -> str:
    return UNKNOWN if size is None else f"{size / MEBIBYTE:,.0f}"


def _without_nan(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _without_nan(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(entry) for entry in value]
    return None if isinstance(value, float) and math.isnan(value) else value
