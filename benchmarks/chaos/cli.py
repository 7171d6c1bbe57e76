"""``python -m benchmarks.chaos``: replies that survive what happens to replicas."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.progress import Progress

from benchmarks.chaos.faults import FaultKind, Faults
from benchmarks.chaos.findings import silences_by_kind
from benchmarks.chaos.replies import Question, learn
from benchmarks.chaos.stage import Proxy, Stage, open_stage
from benchmarks.chaos.streams import Heard, Streams
from benchmarks.chaos.watched import Watch, watched_async_client
from benchmarks.load.options import ServerArguments
from benchmarks.load.prompts import load_prompts
from benchmarks.load.provenance import describe_run
from benchmarks.load.report import write_json
from benchmarks.testbed.process import ProgramError
from benchmarks.testbed.server import start_server
from lstmserve_client import CacheMode, GenerateOptions, SamplingParams, StoppingCriteria

CANNOT_MEASURE = 2
NOT_EXACT = 1
NUM_QUESTIONS = 64


@dataclass(frozen=True)
class _Plan:
    streams: int
    seconds: float
    kinds: Sequence[FaultKind]
    seed: int


@dataclass(frozen=True)
class _Outcome:
    heard: Heard
    faults: Faults
    watch: Watch


def run(
    server_arg: ServerArguments = None,
    replicas: Annotated[int, typer.Option(min=1, help="Servers to start.")] = 2,
    streams: Annotated[int, typer.Option(min=1, help="Requests at the same time.")] = 64,
    faults: Annotated[
        str, typer.Option(help="kill, freeze, restart, drain: separated by commas.")
    ] = "kill,freeze,restart,drain",
    seconds: Annotated[float, typer.Option(min=1, help="For which faults happen.")] = 60.0,
    max_tokens: Annotated[int, typer.Option(min=1, help="Tokens of each reply.")] = 128,
    seed: Annotated[int, typer.Option(help="Decides requests and faults.")] = 0,
    redis: Annotated[
        bool, typer.Option("--redis", help="Keep replies in a Redis, which is killed as well.")
    ] = False,
    through: Annotated[Proxy | None, typer.Option(help="A proxy before the replicas.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the figures to this file.")] = None,
) -> None:
    """Start replicas, let faults happen to them under load, and compare every reply."""
    plan = _Plan(streams, seconds, _parse_kinds(faults, with_redis=redis), seed)
    arguments = server_arg or ()
    try:
        with start_server(arguments) as undisturbed:
            questions = learn(undisturbed.target, _asks(max_tokens, kept=redis))
        with open_stage(replicas, arguments, with_redis=redis, through=through) as stage:
            outcome = uvloop.run(_run(stage, questions, plan))
    except ProgramError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(CANNOT_MEASURE) from None
    _report(outcome, json)
    if outcome.heard.lost or outcome.heard.changed:
        raise typer.Exit(NOT_EXACT)


async def _run(stage: Stage, questions: Sequence[Question], plan: _Plan) -> _Outcome:
    watch = Watch()
    faults = Faults(plan.kinds, stage.replicas, stage.redis, plan.seed)
    async with watched_async_client(stage.targets, watch) as client:
        streams = Streams(client, questions, plan.streams, plan.seed)
        asking = asyncio.create_task(streams.run())
        with Progress(transient=True) as progress:
            bar = progress.add_task("faults", total=None)
            try:
                await faults.run(plan.seconds, lambda _: progress.advance(bar))
            finally:
                streams.stop()
                await asking
    return _Outcome(streams.heard, faults, watch)


def _asks(max_tokens: int, *, kept: bool) -> list[tuple[str, GenerateOptions]]:
    """With a Redis every second reply may be kept there; all others are generated each time."""
    modes = (CacheMode.DEFAULT if kept else CacheMode.BYPASS, CacheMode.BYPASS)
    return [
        (
            prompt,
            {
                "sampling": SamplingParams(seed=number, temperature=0.9),
                "stopping": StoppingCriteria(min_tokens=max_tokens, max_tokens=max_tokens),
                "cache_mode": modes[number % 2],
            },
        )
        for number, prompt in enumerate(load_prompts()[:NUM_QUESTIONS])
    ]


def _parse_kinds(text: str, *, with_redis: bool) -> list[FaultKind]:
    try:
        kinds = [FaultKind(name) for name in text.split(",")]
    except ValueError as error:
        raise typer.BadParameter(f"{error}: one of {', '.join(FaultKind)}") from None
    if FaultKind.REDIS in kinds and not with_redis:
        raise typer.BadParameter("the fault redis goes with --redis")
    return [*kinds, FaultKind.REDIS] if with_redis and FaultKind.REDIS not in kinds else kinds


def _report(outcome: _Outcome, json: Path | None) -> None:
    heard, watch = outcome.heard, outcome.watch
    happened = outcome.faults.happened
    kinds = Counter(fault.kind.value for fault in happened)
    silences = silences_by_kind(heard.silences, happened)
    typer.echo(
        f"{len(happened)} faults {dict(kinds)}: {heard.replies:,} replies, {heard.streamed:,} of "
        f"them streamed; {heard.lost.total()} lost {dict(heard.lost) or ''}, "
        f"{heard.changed} changed; {watch.resumes} streams went on elsewhere "
        f"(attempts that failed: {dict(watch.failures)})\n"
        "longest silence of a stream, ms, by what happened:"
    )
    for kind, each in silences.items():
        typer.echo(f"  {kind:8} p50 {each.p50:9,.1f}  p99 {each.p99:9,.1f}  max {each.max:9,.1f}")
    if json is not None:
        figures = {
            "replies": heard.replies,
            "streamed": heard.streamed,
            "faults": kinds,
            "lost": heard.lost,
            "changed": heard.changed,
            "resumes": watch.resumes,
            "failed_attempts": watch.failures,
            "longest_silence_ms": {kind: asdict(each) for kind, each in silences.items()},
        }
        write_json(json, describe_run(), figures)


def main() -> None:
    typer.run(run)
