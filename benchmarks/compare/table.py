"""The comparison as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.load.driver import Closed
from benchmarks.load.figures import Percentiles
from benchmarks.load.measure import Measurement
from benchmarks.load.workload import Lengths

MEBIBYTE = 2**20
NONE = "–"  # noqa: RUF001 - a dash


@dataclass(frozen=True)
class Result:
    """One server's measurements; ``unavailable`` says why there are none."""

    name: str
    what: str
    versions: Mapping[str, str] = field(default_factory=dict)
    measurements: Mapping[Lengths, Sequence[Measurement]] = field(default_factory=dict)
    unavailable: str = ""


def to_markdown(results: Sequence[Result], lengths: Sequence[Lengths]) -> str:
    """One table for each kind of lengths, then what stands behind the names."""
    tables = [_table([one for one in results if one.measurements], kind) for kind in lengths]
    notes = [f"- **{one.name}**: {_note(one)}" for one in results]
    return "\n\n".join([*tables, "\n".join(notes)]) + "\n"


def _table(results: Sequence[Result], lengths: Lengths) -> str:
    if not results:
        return f"No server could be measured with {lengths} reply lengths."
    streams = [_streams(one) for one in results[0].measurements[lengths]]
    most = streams[-1]
    columns = [
        f"replies of {lengths} length",
        *(f"tokens/s, {count}" for count in streams),
        *(f"first token p50 / p99 ms, {most}", f"whole reply p50 / p99 ms, {most}"),
        *("tokens/message", "server cores", "generator cores", "resident MB", "errors"),
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
        NONE if server.cpu_seconds is None else f"{server.cpu_seconds / figures.seconds:.2f}",
        f"{last.generator_cpu_seconds / figures.seconds:.2f}",
        NONE if server.resident_bytes is None else f"{server.resident_bytes / MEBIBYTE:,.0f}",
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
