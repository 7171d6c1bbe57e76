"""The comparison as Markdown."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.load.driver import Closed
from benchmarks.load.figures import Percentiles
from benchmarks.load.measure import Measurement
from benchmarks.load.provenance import name_run
from benchmarks.load.report import MEBIBYTE, UNKNOWN
from benchmarks.load.workload import Lengths

COLUMNS = 120  # of a line of Markdown, tables apart


@dataclass(frozen=True)
class Result:
    """One server's measurements; ``unavailable`` says why there are none."""

    name: str
    what: str
    versions: Mapping[str, str] = field(default_factory=dict)
    measurements: Mapping[Lengths, Sequence[Measurement]] = field(default_factory=dict)
    unavailable: str = ""


def to_markdown(results: Sequence[Result], lengths: Sequence[Lengths]) -> str:
    """Return what the columns are, a table for each kind of lengths, and a note on each server."""
    measured = [one for one in results if one.measurements]
    tables = [_table(measured, kind) for kind in lengths]
    notes = [_wrap(f"- **{one.name}**: {_note(one)}", indent="  ") for one in results]
    return "\n\n".join([*_legend(measured, lengths), *tables, "\n".join(notes)]) + "\n"


def describe_source(run: Mapping[str, object]) -> str:
    """Return the command of a run, its files on a line of their own, and what was measured."""
    command = re.sub(r" (?=--(?:json|markdown) )", " \\\\\n  ", str(run["command"]), count=1)
    return f"```\n{command}\n```\n\nMeasured at {name_run(run)}\n"


def _legend(results: Sequence[Result], lengths: Sequence[Lengths]) -> list[str]:
    if not results or not lengths:
        return []
    *others, most = [str(_streams(one)) for one in results[0].measurements[lengths[0]]]
    columns = f"Columns {', '.join(others)} and {most} are" if others else f"Column {most} is"
    return [
        _wrap(
            f"{columns} tokens/s with so many streams. The others are with {most} streams: times "
            "as p50 / p99, CPU cores of the server and of the generator, resident memory in MB. "
            "Errors are those of all loads."
        )
    ]


def _wrap(text: str, indent: str = "") -> str:
    return textwrap.fill(
        text, COLUMNS, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _table(results: Sequence[Result], lengths: Lengths) -> str:
    if not results:
        return f"No server could be measured with {lengths} reply lengths."
    streams = [_streams(one) for one in results[0].measurements[lengths]]
    columns = [
        f"{lengths} lengths",
        *(f"{count}" for count in streams),
        *("first token, ms", "whole reply, ms", "tokens/message"),
        *("cores", "generator", "MB", "errors"),
    ]
    rows = [_row(one.name, one.measurements[lengths]) for one in results]
    rule = ["---", *(["---:"] * (len(columns) - 1))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (columns, rule, *rows))


def _row(name: str, measurements: Sequence[Measurement]) -> list[str]:
    last = measurements[-1]
    figures, server = last.figures, last.server
    errors: dict[str, int] = {}
    for measurement in measurements:
        for code, count in measurement.figures.errors.items():
            errors[code] = errors.get(code, 0) + count
    return [
        name,
        *(f"{one.figures.tokens_per_second:,.0f}" for one in measurements),
        _pair(figures.first_token_ms),
        _pair(figures.reply_ms),
        f"{figures.tokens_per_message:.1f}",
        UNKNOWN if server.cpu_seconds is None else f"{server.cpu_seconds / figures.seconds:.2f}",
        f"{last.generator_cpu_seconds / figures.seconds:.2f}",
        UNKNOWN if server.resident_bytes is None else f"{server.resident_bytes / MEBIBYTE:,.0f}",
        ", ".join(f"{count} {code}" for code, count in errors.items()) or "0",
    ]


def _pair(percentiles: Percentiles) -> str:
    return f"{percentiles.p50:,.1f} / {percentiles.p99:,.1f}"


def _streams(measurement: Measurement) -> int:
    return measurement.load.streams if isinstance(measurement.load, Closed) else 0


def _note(result: Result) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    parts = [result.what, versions, result.unavailable and f"not measured: {result.unavailable}"]
    return "; ".join(part for part in parts if part)
