"""One measurement: generator processes load a server, this process watches what it costs."""

from __future__ import annotations

import asyncio
import gc
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from multiprocessing import get_context
from time import monotonic, process_time, sleep

import uvloop

from benchmarks.load.dialect import Dialect
from benchmarks.load.driver import Driver, Load, Open
from benchmarks.load.figures import Figures, compute_figures
from benchmarks.load.grpc_transport import GrpcTransport
from benchmarks.load.http2_transport import Http2Transport
from benchmarks.load.recording import Recording, Window
from benchmarks.load.transport import Transport
from benchmarks.load.usage import ServerUsage, measure_usage, summarize_usage
from benchmarks.load.workload import Workload
from benchmarks.testbed.server import RunningServer

# between the decision to start and the first request: processes agree on the moment
LEAD_SECONDS = 0.2
WATCH_SECONDS = 0.5


class ClientKind(StrEnum):
    """What sends the requests."""

    HTTP2 = "http2"
    GRPC = "grpc"


class EventLoop(StrEnum):
    """What runs the generator."""

    UVLOOP = "uvloop"
    ASYNCIO = "asyncio"


@dataclass(frozen=True)
class Generator:
    """How requests are sent."""

    client: ClientKind = ClientKind.HTTP2
    connections: int = 1
    processes: int = 1
    timeout_seconds: float = 60.0
    event_loop: EventLoop = EventLoop.UVLOOP

    def connect(self, target: str) -> Transport:
        kind = Http2Transport if self.client is ClientKind.HTTP2 else GrpcTransport
        return kind(target, self.connections, self.timeout_seconds)


@dataclass(frozen=True)
class Plan:
    """One measurement, as it is sent to the generator's processes."""

    dialect: Dialect
    generator: Generator
    workload: Workload
    load: Load
    warm_up_seconds: float
    seconds: float


@dataclass(frozen=True)
class Measurement:
    """What one load showed, and what it cost on both sides during the window."""

    load: Load
    figures: Figures
    generator_cpu_seconds: float
    server: ServerUsage


def start_generators(generator: Generator) -> ProcessPoolExecutor:
    """Processes that send requests; ready when this returns."""
    pool = ProcessPoolExecutor(generator.processes, mp_context=get_context("spawn"))
    for started in [pool.submit(gc.disable) for _ in range(generator.processes)]:
        started.result()
    return pool


def measure(plan: Plan, server: RunningServer, pool: Executor) -> Measurement:
    """Load the server as planned; the pool is that of ``start_generators``."""
    start = monotonic() + LEAD_SECONDS + plan.warm_up_seconds
    window = Window(start, start + plan.seconds)
    shares = divide(plan.load, plan.generator.processes)
    running = [pool.submit(generate, plan, server.target, *share, window) for share in shares]
    usage = _watch(server, window)
    recording, cpu_seconds = Recording(), 0.0
    for future in running:
        part_recording, part_seconds = future.result()
        recording.merge(part_recording)
        cpu_seconds += part_seconds
    return Measurement(plan.load, compute_figures(recording, window), cpu_seconds, usage)


def divide(load: Load, processes: int) -> list[tuple[Load, range]]:
    """The share of each process, and which numbers its streams have.

    An open loop is one stream of requests per process: Poisson processes add up to one.
    """
    if isinstance(load, Open):
        return [(Open(load.rate / processes), range(n, n + 1)) for n in range(processes)]
    numbers = range(load.streams)
    return [(load, numbers[n::processes]) for n in range(min(processes, load.streams))]


def generate(
    plan: Plan, target: str, load: Load, numbers: range, window: Window
) -> tuple[Recording, float]:
    """Run in a generator's process: what it recorded, and its CPU seconds in the window."""
    gc.disable()  # a collection would look like a slow server; a process lives for some minutes
    run = uvloop.run if plan.generator.event_loop is EventLoop.UVLOOP else asyncio.run
    return run(_generate(plan, target, load, numbers, window))


async def _generate(
    plan: Plan, target: str, load: Load, numbers: range, window: Window
) -> tuple[Recording, float]:
    transport = plan.generator.connect(target)
    driver = Driver(transport, plan.dialect, plan.workload)
    cpu_seconds = asyncio.create_task(_count_cpu(window))
    try:
        await driver.run(load, window.end, numbers)
    finally:
        await transport.close()
    return driver.recording, await cpu_seconds


async def _count_cpu(window: Window) -> float:
    await asyncio.sleep(window.start - monotonic())
    before = process_time()
    await asyncio.sleep(window.end - monotonic())
    return process_time() - before


def _watch(server: RunningServer, window: Window) -> ServerUsage:
    """Sleep until the window ends; what the server used in it."""
    sleep(max(0.0, window.start - monotonic()))
    usages = [measure_usage(server)]
    while (left := window.end - monotonic()) > 0:
        sleep(min(WATCH_SECONDS, left))
        usages.append(measure_usage(server))
    return summarize_usage(usages)
