"""Two loads that would show a leak: a million requests, and thousands that wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import islice
from time import monotonic

from benchmarks.endurance.growth import Sample
from benchmarks.load.dialect import LstmserveDialect
from benchmarks.load.measure import Generator
from benchmarks.load.report import show_progress
from benchmarks.load.transport import Status, Transport
from benchmarks.load.usage import MeasureError, read_resident, scrape
from benchmarks.load.workload import Ask, Lengths, Workload
from benchmarks.testbed.server import RunningServer

NUM_SAMPLES = 200
POLL_SECONDS = 0.1
# long replies, so that few of those that wait get their turn while they are counted
WAITING_TOKENS = 256
MAX_POLLS = 600


@dataclass
class RequestsOutcome:
    """Of many requests."""

    seconds: float = 0.0
    codes: dict[str, int] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)


@dataclass(frozen=True)
class WaitingOutcome:
    """Of many requests that wait at the same time."""

    waiting: int
    resident_before_bytes: int
    resident_waiting_bytes: int
    resident_after_bytes: int

    @property
    def bytes_per_stream(self) -> float:
        return (self.resident_waiting_bytes - self.resident_before_bytes) / self.waiting


class Soak:
    """Loads one server whose memory can be read; what cannot be measured is a MeasureError."""

    def __init__(self, generator: Generator, server: RunningServer) -> None:
        self._generator = generator
        self._server = server
        self._dialect = LstmserveDialect()

    async def ask_many(self, requests: int, streams: int, max_tokens: int) -> RequestsOutcome:
        """Ask so many, so many at a time; memory is read some hundred times on the way."""
        outcome, started = RequestsOutcome(), monotonic()
        outcome.samples.append(Sample(0, await self._read_resident()))
        workload = Workload(lengths=Lengths.EQUAL, max_tokens=max_tokens)
        every = max(1, requests // NUM_SAMPLES)
        numbers = iter(range(1, requests + 1))  # all streams take theirs from here

        async def ask_all(stream: int) -> None:
            asks = workload.asks(stream)
            for number in numbers:
                code = (await self._ask(transport, next(asks))).code
                outcome.codes[code] = outcome.codes.get(code, 0) + 1
                if number % every == 0:
                    outcome.samples.append(Sample(number, await self._read_resident()))
                    on_progress(number)

        with show_progress("requests", requests) as on_progress:
            async with self._connect() as transport, asyncio.TaskGroup() as group:
                for stream in range(streams):
                    group.create_task(ask_all(stream))
        outcome.samples.sort(key=lambda sample: sample.requests)
        outcome.seconds = monotonic() - started
        return outcome

    async def wait_many(self, waiting: int) -> WaitingOutcome:
        """Have so many wait at once, then cancel them all."""
        before = await self._read_resident()
        asks = Workload(lengths=Lengths.EQUAL, max_tokens=WAITING_TOKENS).asks(0)
        async with self._connect() as transport:
            calls = [
                asyncio.ensure_future(self._ask(transport, ask)) for ask in islice(asks, waiting)
            ]
            try:
                found, resident = await self._find_most_waiting(waiting)
            finally:
                for call in calls:
                    call.cancel()
                ended = await asyncio.gather(*calls, return_exceptions=True)
            _check(found, ended)
            await self._wait_until_idle()
        return WaitingOutcome(found, before, resident, await self._read_resident())

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[Transport]:
        transport = self._generator.connect(self._server.target)
        try:
            yield transport
        finally:
            await transport.close()

    async def _ask(self, transport: Transport, ask: Ask) -> Status:
        """Ask and look at no reply: benchmarks.replay does."""
        request = self._dialect.encode(ask)
        return await transport.stream(self._dialect.path, request, lambda _message: None)

    async def _find_most_waiting(self, wanted: int) -> tuple[int, int]:
        """The most that waited at once, and the resident bytes of that moment."""
        most, resident = 0, 0
        for _ in range(MAX_POLLS):
            await asyncio.sleep(POLL_SECONDS)
            now, running = await self._count()
            if now < most:
                break  # all have come, and the first have had their turn
            most, resident = now, await self._read_resident()
            if most + running >= wanted:
                break
        return most, resident

    async def _wait_until_idle(self) -> None:
        for _ in range(MAX_POLLS):
            if not any(await self._count()):
                return
            await asyncio.sleep(POLL_SECONDS)
        raise MeasureError("cancelled requests are still in the server")

    async def _count(self) -> tuple[int, int]:
        """How many wait, and how many run."""
        page = await asyncio.to_thread(scrape, self._server)
        return int(page.total("waiting_sequences")), int(page.total("running_sequences"))

    async def _read_resident(self) -> int:
        return await asyncio.to_thread(read_resident, self._server)


def _check(found: int, ended: Sequence[Status | BaseException]) -> None:
    """Raise MeasureError unless all were let in and some had to wait."""
    refused = [one for one in ended if isinstance(one, Status) and one.code != "OK"]
    if refused:
        one = refused[0]
        raise MeasureError(f"{len(refused)} do not wait, such as {one.code}: {one.details}")
    if not found:
        raise MeasureError("none has to wait: lower --max-running, or ask for more")
