"""Sends requests: closed loop (so many streams) or open loop (so many requests a second)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from time import monotonic

from benchmarks.load.dialect import Dialect
from benchmarks.load.recording import UNFINISHED, Recording, ReplyRecorder
from benchmarks.load.transport import Status, Transport
from benchmarks.load.workload import Ask, Workload

# a refused caller that asks again at once measures how fast a server refuses
PAUSE_AFTER_FAILURE_SECONDS = 0.01
# how long replies that run at the end of a window may take
GRACE_SECONDS = 30.0


@dataclass(frozen=True)
class Closed:
    """Each stream asks again as soon as its reply has ended."""

    streams: int


@dataclass(frozen=True)
class Open:
    """Requests come when they come (Poisson), however many are still running."""

    rate: float  # requests per second


Load = Closed | Open


class Driver:
    """Loads one server over one transport, and records it."""

    def __init__(self, transport: Transport, dialect: Dialect, workload: Workload) -> None:
        self._transport = transport
        self._dialect = dialect
        self._workload = workload
        self.recording = Recording()

    async def run(self, load: Load, until: float, numbers: Sequence[int]) -> None:
        """Load the server until this moment of the monotonic clock.

        The numbers are those of the streams to run, which decide what each asks; an open
        loop has one.
        """
        if isinstance(load, Closed):
            await _finish([self._run_stream(number, until) for number in numbers], until)
        else:
            await self._run_open(load.rate, until, numbers[0])

    async def ask(self, ask: Ask, intended: float) -> str:
        """One request; its code."""
        recorder = ReplyRecorder(self.recording, self._dialect, intended)
        status = Status(UNFINISHED)
        try:
            status = await self._transport.stream(
                self._dialect.path, self._dialect.encode(ask), recorder.on_message
            )
        finally:
            code = recorder.finish(status, self._dialect)
        return code

    async def _run_stream(self, number: int, until: float) -> None:
        asks = self._workload.asks(number)
        while (now := monotonic()) < until:
            if await self.ask(next(asks), now) != "OK":
                await asyncio.sleep(PAUSE_AFTER_FAILURE_SECONDS)

    async def _run_open(self, rate: float, until: float, number: int) -> None:
        asks = self._workload.asks(number)
        running: set[asyncio.Task[str]] = set()
        for intended in arrivals(rate, monotonic(), until, f"{self._workload.seed}/{number}"):
            await asyncio.sleep(intended - monotonic())  # late, it yields and goes on
            task = asyncio.create_task(self.ask(next(asks), intended))
            running.add(task)
            task.add_done_callback(running.discard)
        await _finish(running, until)


def arrivals(rate: float, start: float, until: float, seed: str) -> Iterator[float]:
    """The moments of a Poisson process of this rate."""
    source = random.Random(seed)
    now = start + source.expovariate(rate)
    while now < until:
        yield now
        now += source.expovariate(rate)


async def _finish(work: Iterable[Awaitable[object]], until: float) -> None:
    """Run these to their end, at most the grace beyond the window; failures of ours are raised."""
    tasks = {asyncio.ensure_future(one) for one in work}
    if not tasks:
        return
    done, late = await asyncio.wait(tasks, timeout=until + GRACE_SECONDS - monotonic())
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    for task in done:
        task.result()
