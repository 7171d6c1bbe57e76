"""Cached replies per second with many callers, load generator included."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import cycle

from benchmarks.cache.caller import connect, encode
from benchmarks.cache.latency import HEALTH
from benchmarks.cache.sizes import Sizes
from benchmarks.cache.stage import Stage
from benchmarks.load.dialect import STREAMED, UNARY, Dialect, LstmserveDialect, to_request
from benchmarks.load.driver import Closed
from benchmarks.load.findings import Finding, Target
from benchmarks.load.measure import Generator, Measurement, Plan, measure, start_generators
from benchmarks.load.prompts import load_prompts
from benchmarks.load.usage import MeasureError, scrape
from benchmarks.load.workload import GREEDY, Ask, Workload
from benchmarks.testbed.server import RunningServer
from lstmserve.v1 import generation_service_pb2 as pb

TOKENS = 64
PROMPTS = 64
LONGER = (1, 5, 25)  # times as long, one after the other
IN_PROCESS_UNARY = Target(5000, is_least=True)


class FewPrompts(Workload):
    """The same requests again and again: all of them are kept."""

    def asks(self, stream: int) -> Iterator[Ask]:
        prompts = load_prompts()[:PROMPTS]
        first = stream % PROMPTS
        ordered = prompts[first:] + prompts[:first]
        return cycle([Ask(prompt, GREEDY, None, TOKENS, TOKENS) for prompt in ordered])


class UnaryDialect:
    """``GenerateReply``: the whole reply is one message."""

    path = UNARY

    def encode(self, ask: Ask) -> bytes:
        return to_request(ask).SerializeToString()

    def count_tokens(self, message: bytes) -> int:
        return len(pb.GenerateReplyResponse.FromString(message).token_ids)

    def is_complete(self, last: bytes) -> bool:
        return pb.GenerateReplyResponse.FromString(last).HasField("completion")


class HealthDialect:
    """What gRPC itself costs: one small message each way."""

    path = HEALTH

    def encode(self, _ask: Ask) -> bytes:
        return b""

    def count_tokens(self, _message: bytes) -> int:
        return 0

    def is_complete(self, _last: bytes) -> bool:
        return True


@dataclass(frozen=True)
class _Case:
    name: str
    server: RunningServer
    dialect: Dialect
    target: Target | None = None


async def measure_throughput(stage: Stage, sizes: Sizes) -> list[Finding]:
    near, far = stage.near, stage.over_tcp
    for server in (near, far):
        await _fill(server)
    cases = [
        _Case("health checks", near, HealthDialect()),
        _Case("unary, in process", near, UnaryDialect(), IN_PROCESS_UNARY),
        _Case("streamed, in process", near, LstmserveDialect()),
        _Case("unary, Redis", far, UnaryDialect()),
        _Case("streamed, Redis", far, LstmserveDialect()),
    ]
    with start_generators(Generator()) as pool:
        return [
            finding
            for callers in sizes.callers
            for finding in await asyncio.to_thread(_measure_all, cases, callers, sizes, pool)
        ]


async def _fill(server: RunningServer) -> None:
    requests = [encode(prompt, TOKENS) for prompt in load_prompts()[:PROMPTS]]
    async with connect(server) as caller:
        await asyncio.gather(*(caller.call_until_hit(STREAMED, one) for one in requests))


def _measure_all(
    cases: Sequence[_Case], callers: int, sizes: Sizes, pool: Executor
) -> list[Finding]:
    """The first of the cases is what the others are compared with."""
    findings: list[Finding] = []
    for case in cases:
        measured, not_hit = _measure(case, callers, sizes, pool)
        rate = measured.figures.requests_per_second
        floor = findings[0].value if findings else rate
        note = f"{rate / floor:.2f} of health checks; {_describe(measured)}"
        if not_hit:
            note += f"; {not_hit:.0f} were no hits"
        findings.append(Finding(f"{case.name}, {callers} callers", rate, "/s", case.target, note))
    return findings


def _measure(case: _Case, callers: int, sizes: Sizes, pool: Executor) -> tuple[Measurement, float]:
    """One load, and how many of its requests were no hits.

    It is measured for longer where a machine has so much else to do that nothing ended.
    """
    for factor in LONGER:
        seconds = factor * sizes.throughput_seconds
        measured, not_hit = _measure_for(seconds, case, callers, sizes, pool)
        if measured.figures.requests_per_second:
            return measured, not_hit
    raise MeasureError(f"{case.name}: nothing ended within {seconds:g} s")


def _measure_for(
    seconds: float, case: _Case, callers: int, sizes: Sizes, pool: Executor
) -> tuple[Measurement, float]:
    plan = Plan(
        dialect=case.dialect,
        generator=Generator(),
        workload=FewPrompts(),
        load=Closed(callers),
        warm_up_seconds=sizes.throughput_warm_up_seconds,
        seconds=seconds,
    )
    before = _count_not_hit(case.server)
    measured = measure(plan, case.server, pool)
    if measured.figures.errors:
        raise MeasureError(f"{case.name}: {measured.figures.errors}")
    return measured, _count_not_hit(case.server) - before


def _count_not_hit(server: RunningServer) -> float:
    page = scrape(server)
    return sum(page.total("requests_total", cache=cache) for cache in ("miss", "coalesced"))


def _describe(measured: Measurement) -> str:
    figures, used = measured.figures, measured.server.cpu_seconds or 0.0
    return (
        f"p50 {figures.reply_ms.p50:.2f} ms, p99 {figures.reply_ms.p99:.2f} ms; cores: "
        f"server {used / figures.seconds:.2f}, "
        f"generator {measured.generator_cpu_seconds / figures.seconds:.2f}"
    )
