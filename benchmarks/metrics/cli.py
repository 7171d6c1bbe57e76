"""``python -m benchmarks.metrics``: what counting costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Annotated

import typer

from benchmarks.load.dialect import LstmserveDialect
from benchmarks.load.driver import Closed
from benchmarks.load.findings import Finding, Target, print_findings
from benchmarks.load.measure import Generator, Plan
from benchmarks.load.options import ServerArguments, parse_numbers
from benchmarks.load.provenance import describe_run
from benchmarks.load.report import write_json
from benchmarks.load.workload import CacheMode, Workload
from benchmarks.metrics.events import measure_page, time_events
from benchmarks.metrics.overhead import Round, run_rounds, token_microseconds

ONE_PERCENT = Target(1.0)


def run(
    server_arg: ServerArguments = None,
    streams: Annotated[str, typer.Option(help="Concurrent streams.")] = "1,64",
    rounds: Annotated[int, typer.Option(min=0, help="Turns of both servers; 0: none.")] = 6,
    seconds: Annotated[float, typer.Option(min=0.1, help="Of each turn.")] = 10.0,
    warm_up: Annotated[float, typer.Option(min=0, help="Seconds of load before it.")] = 1.0,
    max_tokens: Annotated[int, typer.Option(min=1, help="Tokens of each reply.")] = 64,
    calls: Annotated[int, typer.Option(min=1, help="Of each event, per round.")] = 20_000,
    json: Annotated[Path | None, typer.Option(help="Write the figures to this file.")] = None,
) -> None:
    """Compare a server that counts, and is scraped, with one that does neither."""
    parts: dict[str, list[Finding]] = {"alone, on one thread": _time_alone(calls)}
    found: dict[str, list[Round]] = {}
    for number in map(int, parse_numbers(streams) if rounds else ()):
        name = f"{number} streams"
        typer.echo(f"{name} ...", err=True)
        plan = Plan(
            LstmserveDialect(),
            Generator(),
            # from the model: a reply that is kept costs other things
            Workload(seed=0, max_tokens=max_tokens, cache_mode=CacheMode.BYPASS),
            Closed(number),
            warm_up,
            seconds,
        )
        found[name] = [*run_rounds(plan, rounds, server_arg or ())]
        parts[name] = _compare(found[name])
    print_findings(parts)
    if json is not None:
        write_json(json, describe_run(), _to_json(parts, found))


def _time_alone(calls: int) -> list[Finding]:
    milliseconds, size = measure_page()
    return [
        *(Finding(name, value, "ns") for name, value in time_events(calls).items()),
        Finding("writing the page", milliseconds, "ms"),
        Finding("the page", size / 1e3, "kB"),
    ]


def _compare(rounds: Sequence[Round]) -> list[Finding]:
    """Medians; a share is the median of those of the rounds, whose halves share their moment."""
    counting = [each.counting for each in rounds]
    silent = [each.silent for each in rounds]
    return [
        Finding("tokens/s, counted", median(m.figures.tokens_per_second for m in counting)),
        Finding("tokens/s, not counted", median(m.figures.tokens_per_second for m in silent)),
        Finding("fewer", 100 * median(each.lost_share for each in rounds), "%", ONE_PERCENT),
        Finding("CPU per token, counted", median(map(token_microseconds, counting)), "µs"),
        Finding("CPU per token, not counted", median(map(token_microseconds, silent)), "µs"),
        Finding("more", 100 * median(each.cpu_share for each in rounds), "%", ONE_PERCENT),
    ]


def _to_json(
    parts: Mapping[str, Sequence[Finding]], found: Mapping[str, Sequence[Round]]
) -> Mapping[str, object]:
    return {
        "findings": {name: [each.to_json() for each in part] for name, part in parts.items()},
        "rounds": {name: [asdict(each) for each in rounds] for name, rounds in found.items()},
    }


def main() -> None:
    typer.run(run)
