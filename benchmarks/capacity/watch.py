"""Processor time of a server's processes under a closed loop."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from math import ceil
from time import clock_gettime

import psutil

from benchmarks.load.dialect import LstmserveDialect
from benchmarks.load.driver import Closed
from benchmarks.load.measure import Generator, Measurement, Plan, measure
from benchmarks.load.usage import MeasureError
from benchmarks.load.workload import Workload
from benchmarks.testbed.redis import RedisProcess
from benchmarks.testbed.server import RunningServer
from lstmserve_server.config import EngineConfig

ENGINE = "lstmserve_server.engine.process.main"
PROCESS_CLOCK = 2  # CPUCLOCK_SCHED: nanoseconds, where /proc counts ticks of ten milliseconds
STREAMS = 16
ROUNDS = 3  # of each load; the least disturbed of them counts


@dataclass(frozen=True)
class Spent:
    """Processor seconds of one load, and what it was."""

    requests: float
    messages: float
    front: float
    engine: float
    generator: float
    redis: float


@dataclass(frozen=True)
class Linear:
    """Seconds for each request and for each message."""

    request: float
    message: float

    @classmethod
    def through(cls, few: Spent, many: Spent, name: str) -> Linear:
        """Solve for two loads with other numbers of messages a request."""
        low, high = (getattr(one, name) / one.requests for one in (few, many))
        each_low, each_high = (one.messages / one.requests for one in (few, many))
        message = max(0.0, (high - low) / (each_high - each_low))
        return cls(max(0.0, low - message * each_low), message)


class Watch:
    """Runs loads against one server, and tells what its processes spent."""

    def __init__(
        self,
        server: RunningServer,
        pool: Executor,
        seconds: float,
        redis: RedisProcess | None = None,
    ) -> None:
        if server.pid is None:
            raise MeasureError("processor times need a server that was started here")
        self._server, self._pool, self._seconds = server, pool, seconds
        self._front = psutil.Process(server.pid)
        self._engine = find_engine(self._front)
        self._redis = None if redis is None else psutil.Process(redis.pid)

    def run(self, workload: Workload, streams: int = STREAMS, warm_up: float = 0.5) -> Spent:
        """Load it some times; return what the cheapest cost, as others only make it dearer.

        A first load of ``warm_up`` seconds is not counted.
        """
        if warm_up:
            self._load(workload, streams, warm_up)
        rounds = [self.run_once(workload, streams) for _ in range(ROUNDS)]
        return min(rounds, key=lambda one: (one.front + one.engine) / one.requests)

    def run_once(self, workload: Workload, streams: int = STREAMS) -> Spent:
        """Load it once, for a part of the time."""
        before = self._look()
        measured = self._load(workload, streams, self._seconds / ROUNDS)
        front, engine, redis = (
            after - was for after, was in zip(self._look(), before, strict=True)
        )
        figures = measured.figures
        if figures.errors:
            raise MeasureError(f"a load ended with {figures.errors}")
        # each stream's first request comes before the window: its figures leave it out
        requests = figures.replies + streams
        each = 1 + ceil((workload.max_tokens - 1) / EngineConfig().quantum_steps)
        return Spent(
            requests,
            requests * each,
            front,
            engine,
            measured.generator_cpu_seconds,
            redis,
        )

    def _load(self, workload: Workload, streams: int, seconds: float) -> Measurement:
        plan = Plan(LstmserveDialect(), Generator(), workload, Closed(streams), 0.0, seconds)
        return measure(plan, self._server, self._pool)

    def _look(self) -> list[float]:
        found = (self._front, self._engine, self._redis)
        return [read_clock(one.pid) if one else 0.0 for one in found]


def read_clock(pid: int) -> float:
    """Return a process's processor seconds, as ``clock_getcpuclockid(3)`` has them."""
    return clock_gettime((~pid << 3) | PROCESS_CLOCK)


def find_engine(front: psutil.Process) -> psutil.Process:
    """Return the engine's process; raises MeasureError where there is none."""
    for child in front.children(recursive=True):
        if ENGINE in child.cmdline():
            return child
    raise MeasureError("the server has no engine's process of its own")
