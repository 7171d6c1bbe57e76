"""The comparison as Markdown."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

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
    # of each load in every round, in the order of the measurements
    rounds: Mapping[Lengths, Sequence[Sequence[float]]] = field(default_factory=dict)


def combine(rounds: Sequence[Result]) -> Result:
    """Return one server's result of several rounds: of each load the median round.

    A round in which it could not be measured makes the whole so.
    """
    failed = [one for one in rounds if one.unavailable]
    if failed:
        return failed[0]
    medians, speeds = {}, {}
    for kind in rounds[0].measurements:
        loads = [*zip(*(one.measurements[kind] for one in rounds), strict=True)]
        medians[kind] = [*map(_median, loads)]
        speeds[kind] = [[*map(_speed, load)] for load in loads]
    return replace(rounds[0], measurements=medians, rounds=speeds)


def _median(measurements: Sequence[Measurement]) -> Measurement:
    return sorted(measurements, key=_speed)[(len(measurements) - 1) // 2]


def _speed(measurement: Measurement) -> float:
    return measurement.figures.tokens_per_second


def to_markdown(results: Sequence[Result], lengths: Sequence[Lengths]) -> str:
    """Return what the columns are, a table for each kind of lengths, and a note on each server."""
    measured = [one for one in results if one.measurements]
    tables = [show(measured, kind) for kind in lengths for show in (_table, _ratios)]
    notes = [_wrap(f"- **{one.name}**: {_note(one)}", indent="  ") for one in results]
    parts = [*_legend(measured, lengths), *filter(None, tables), "\n".join(notes)]
    return "\n\n".join(parts) + "\n"


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


def _ratios(results: Sequence[Result], lengths: Lengths) -> str:
    """Return how the first server stands to the best of the others at each load; "" without any."""
    ours, *others = [one.measurements[lengths] for one in results] or [[]]
    if not others:
        return ""
    told = []
    for number, own in enumerate(ours):
        speed = max(_speed(each[number]) for each in others)
        first = min(_first(each[number]) for each in others)
        ratio = _speed(own) / speed if speed else math.nan
        spread = _spread(results[0], lengths, number)
        told.append(f"{_streams(own)}: {ratio:.2f}{spread}, {_first(own) / first:.2f}")
    return _wrap(
        f"{results[0].name} with {lengths} lengths, the best of the others = 1, as tokens/s and "
        f"time to the first token (p50), with so many streams: {'; '.join(told)}."
    )


def _first(measurement: Measurement) -> float:
    return measurement.figures.first_token_ms.p50


def _spread(result: Result, lengths: Lengths, number: int) -> str:
    speeds = result.rounds.get(lengths, [])[number : number + 1]
    if not speeds or len(speeds[0]) == 1:
        return ""
    return f" ({min(speeds[0]):,.0f} to {max(speeds[0]):,.0f} tokens/s)"


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
