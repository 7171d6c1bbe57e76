"""Calls that come at a steady rate, and what became of them by the second."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle
from time import perf_counter

import numpy as np

from benchmarks.cache.caller import Caller, Reply
from benchmarks.load.dialect import UNARY
from benchmarks.load.prompts import draw_ranks
from benchmarks.testbed.server import RunningServer

EXPONENT = 1.0
SEED = 0
DRAWN = 100_000  # requests before the same come again


@dataclass(frozen=True)
class Call:
    began_at: float
    reply: Reply
    is_changed: bool

    @property
    def is_hit(self) -> bool:
        return self.reply.code == "OK" and self.reply.outcome == "hit"


@dataclass
class RatedLoad:
    """Calls that come at a steady rate to one server, however many are still running."""

    name: str
    server: RunningServer
    caller: Caller
    known: Sequence[tuple[bytes, Reply]]  # by rank
    rate: float
    calls: list[Call] = field(default_factory=list)

    async def run(self) -> None:
        """Ask until canceled, and then wait for what was asked."""
        ranks = cycle(draw_ranks(len(self.known), EXPONENT, DRAWN, SEED))
        next_at = perf_counter()
        async with asyncio.TaskGroup() as asked:
            try:
                for rank in ranks:
                    asked.create_task(self._ask(rank, next_at))
                    next_at += 1 / self.rate
                    await asyncio.sleep(max(0.0, next_at - perf_counter()))
            except asyncio.CancelledError:
                return

    async def _ask(self, rank: int, began_at: float) -> None:
        request, wanted = self.known[rank]
        reply = await self.caller.try_call(UNARY, request)
        is_changed = reply.code == "OK" and reply.content != wanted.content
        self.calls.append(Call(began_at, reply, is_changed))

    def hit_ratios(self, begin: float, end: float) -> list[float]:
        """Of each whole second between two moments."""
        hits: list[list[bool]] = [[] for _ in range(int(end - begin))]
        for call in self.calls:
            second = int(call.began_at - begin)
            if call.began_at >= begin and second < len(hits):
                hits[second].append(call.is_hit)
        return [float(np.mean(found)) if found else 0.0 for found in hits]

    def read_p99(self, begin: float, end: float) -> float:
        """Return milliseconds."""
        seconds = [call.reply.seconds for call in self.calls if begin <= call.began_at < end]
        return 1e3 * float(np.percentile(seconds, 99))
