"""One caller who pauses before each request: what serving it costs, and when its token comes."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic, process_time

import numpy as np
import psutil
import uvloop

from benchmarks.capacity.watch import find_engine, read_clock
from benchmarks.load.dialect import LstmserveDialect
from benchmarks.load.driver import Driver
from benchmarks.load.measure import Generator
from benchmarks.load.usage import MeasureError
from benchmarks.load.workload import Ask, Workload
from benchmarks.testbed.server import RunningServer


@dataclass(frozen=True)
class Caller:
    """Asks a server, whose two processes it watches."""

    target: str
    front: int  # process ids
    engine: int

    @classmethod
    def of(cls, server: RunningServer) -> Caller:
        """Raise MeasureError unless the server was started here, with an engine of its own."""
        if server.pid is None:
            raise MeasureError("processor times need a server that was started here")
        return cls(server.target, server.pid, find_engine(psutil.Process(server.pid)).pid)

    def look(self) -> list[float]:
        """Return the processor seconds so far of the server's processes, and of this one."""
        return [read_clock(self.front), read_clock(self.engine), process_time()]


@dataclass(frozen=True)
class Paused:
    """Processor seconds of a request on average, and the elapsed ones until each first token."""

    front: float
    engine: float
    generator: float
    waits: list[float]


def ask_after_pauses(caller: Caller, workload: Workload, pause: float, number: int) -> Paused:
    """Ask so often, in a generator's process; raises MeasureError where there is no reply."""
    gc.disable()
    return uvloop.run(_ask(caller, workload, pause, number))


async def _ask(caller: Caller, workload: Workload, pause: float, number: int) -> Paused:
    transport = Generator().connect(caller.target)
    driver, asks = Driver(transport, LstmserveDialect(), workload), workload.asks(0)
    try:
        await _ask_after(driver, asks, pause)  # opens the connection
        before = caller.look()
        for _ in range(number):
            await _ask_after(driver, asks, pause)
        front, engine, ours = (np.subtract(caller.look(), before) / number).tolist()
    finally:
        await transport.close()
    waits = [one.first_token - one.intended for one in driver.recording.replies[1:]]
    return Paused(front, engine, ours, waits)


async def _ask_after(driver: Driver, asks: Iterator[Ask], pause: float) -> None:
    intended = monotonic() + pause
    await asyncio.sleep(pause)
    code = await driver.ask(next(asks), intended)
    if code != "OK":
        raise MeasureError(f"a request after a pause ended with {code}")
