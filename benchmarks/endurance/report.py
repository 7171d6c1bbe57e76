"""What the verbs print, and the figures that they keep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from statistics import median

import numpy as np
import typer

from benchmarks.endurance.callers import Heard, Silence
from benchmarks.endurance.faults import Fault
from benchmarks.endurance.growth import Growth, compute_growth
from benchmarks.endurance.soak import RequestsOutcome, WaitingOutcome
from benchmarks.endurance.swaps import Swapped
from benchmarks.endurance.watched import Watch
from benchmarks.load.figures import Percentiles
from benchmarks.load.report import MEBIBYTE

Report = Mapping[str, object]

NOTHING = "nothing"
KILOBYTE = 1e3


def report_chaos(heard: Heard, faults: Sequence[Fault], watch: Watch) -> Report:
    kinds = Counter(fault.kind.value for fault in faults)
    silences = silences_by_kind(heard.silences, faults)
    typer.echo(
        f"faults: {_count(kinds)}; {heard.replies:,} replies, {heard.streamed:,} of "
        f"them streamed; {_count(heard.lost)} lost, "
        f"{heard.changed} changed; {watch.resumes} streams went on elsewhere; "
        f"attempts that failed: {_count(watch.failures)}\n"
        "longest silence of a stream, ms, by what happened:"
    )
    for kind, each in silences.items():
        typer.echo(f"  {kind:8} p50 {each.p50:9,.1f}  p99 {each.p99:9,.1f}  max {each.max:9,.1f}")
    return {
        "replies": heard.replies,
        "streamed": heard.streamed,
        "faults": kinds,
        "lost": heard.lost,
        "changed": heard.changed,
        "resumes": watch.resumes,
        "failed_attempts": watch.failures,
        "longest_silence_ms": {kind: asdict(each) for kind, each in silences.items()},
    }


def silences_by_kind(
    silences: Iterable[Silence], faults: Sequence[Fault]
) -> Mapping[str, Percentiles]:
    """Return the longest silence of each stream, in ms, by what happened during it."""
    found: dict[str, list[float]] = {NOTHING: []}
    for silence in silences:
        found.setdefault(_cause(silence, faults), []).append(silence.seconds)
    return {kind: Percentiles.of_seconds(np.array(each)) for kind, each in found.items()}


def _cause(silence: Silence, faults: Sequence[Fault]) -> str:
    """Faults come one at a time; what two overlap with is the later one's."""
    kinds = [
        fault.kind.value
        for fault in faults
        if silence.began_at < fault.ended_at and silence.ended_at > fault.began_at
    ]
    return kinds[-1] if kinds else NOTHING


def report_swaps(heard: Heard, swapped: Swapped, failed: Counter[str]) -> Report:
    growth = compute_growth(swapped.memory)
    tenth = max(1, len(swapped.quiet_rates) // 10)
    first, last = median(swapped.quiet_rates[:tenth]), median(swapped.quiet_rates[-tenth:])
    during = median(swapped.busy_rates) / median(swapped.quiet_rates)
    typer.echo(
        f"{len(swapped.swap_seconds)} swaps, {median(swapped.swap_seconds):.1f} s each (median): "
        f"{heard.replies:,} replies by {len(heard.versions)} versions, "
        f"{_count(failed)} failed, {heard.changed} differ\n"
        f"tokens/s between swaps: {first:,.0f} in the first tenth, {last:,.0f} in the last "
        f"({last / first:.2f}); during a swap {during:.2f} of that (median)\n"
        f"resident {_describe(growth)}, "
        f"{growth.bytes_per_request / MEBIBYTE:+.3f} MB per swap"
    )
    return {
        "replies": heard.replies,
        "tokens": heard.tokens,
        "different": heard.changed,
        "failed": failed,
        "versions": len(heard.versions),
        **asdict(swapped),
        "growth": asdict(growth),
    }


def report_requests(outcome: RequestsOutcome) -> Report:
    growth = compute_growth(outcome.samples)
    codes = ", ".join(f"{count:,} {code}" for code, count in outcome.codes.items())
    typer.echo(
        f"requests: {codes} in {outcome.seconds:,.0f} s; "
        f"resident {outcome.samples[0].resident_bytes / MEBIBYTE:,.1f} MB at the start, "
        f"{_describe(growth)}; {growth.bytes_per_request:.2f} bytes per request after that fifth"
    )
    return {**asdict(outcome), "growth": asdict(growth)}


def report_waiting(outcome: WaitingOutcome) -> Report:
    typer.echo(
        f"waiting: {outcome.waiting:,} streams; "
        f"resident {outcome.resident_before_bytes / MEBIBYTE:,.1f} MB before, "
        f"{outcome.resident_waiting_bytes / MEBIBYTE:,.1f} while they wait, "
        f"{outcome.resident_after_bytes / MEBIBYTE:,.1f} after they were cancelled; "
        f"{outcome.bytes_per_stream / KILOBYTE:.1f} KB per waiting stream"
    )
    return {**asdict(outcome), "bytes_per_stream": outcome.bytes_per_stream}


def _count(kinds: Counter[str]) -> str:
    """How many, and of which kinds."""
    each = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items())
    return f"{kinds.total():,} ({each})" if each else "0"


def _describe(growth: Growth) -> str:
    return (
        f"{growth.settled_bytes / MEBIBYTE:,.1f} MB after a fifth, "
        f"{growth.last_bytes / MEBIBYTE:,.1f} at the end"
    )
