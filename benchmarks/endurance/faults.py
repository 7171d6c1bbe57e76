"""What happens to replicas, and to the Redis that they share."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from time import monotonic

from benchmarks.testbed.metrics_page import MetricsPage
from benchmarks.testbed.process import Program
from benchmarks.testbed.server import Replica

# longer than a client's keepalive takes to find a frozen server: 8 s
FROZEN_SECONDS = (9.0, 12.0)
AWAY_SECONDS = (0.0, 3.0)
PEACE_SECONDS = (1.0, 4.0)
# for callers to come back to a replica that they let rest: 10 s at most
LOOK_SECONDS = 0.2
MAX_LOOKS = 150


class FaultKind(StrEnum):
    """The names of the command line."""

    KILL = "kill"  # a replica: SIGKILL, and started again
    FREEZE = "freeze"  # a replica: SIGSTOP, SIGCONT
    RESTART = "restart"  # all replicas, one after the other: SIGTERM, and started again
    DRAIN = "drain"  # a replica: SIGTERM, away for a while, and started again
    REDIS = "redis"  # SIGKILL, and started again, empty


@dataclass(frozen=True)
class Fault:
    """One that happened; seconds on the monotonic clock."""

    kind: FaultKind
    began_at: float
    ended_at: float


class Faults:
    """A schedule that its seed decides, one fault at a time."""

    def __init__(
        self,
        kinds: Sequence[FaultKind],
        replicas: Sequence[Replica],
        redis: Program | None,
        seed: int,
    ) -> None:
        self._kinds = kinds
        self._replicas = replicas
        self._redis = redis
        self._rng = random.Random(seed)
        self.happened: list[Fault] = []

    async def run(self, seconds: float, on_progress: Callable[[int], object]) -> None:
        """Let faults happen for so long, with peace in between; the last one is seen through."""
        ends_at = monotonic() + seconds
        for kind in self._draw():
            await self._be_at_peace()
            if monotonic() >= ends_at:
                return
            began_at = monotonic()
            await self._inject(kind)
            self.happened.append(Fault(kind, began_at, monotonic()))
            on_progress(len(self.happened))

    async def _be_at_peace(self) -> None:
        """A fault is one only where it strikes somebody: all replicas are to be at work."""
        await self._wait(PEACE_SECONDS)
        for _ in range(MAX_LOOKS):
            at_work = [await asyncio.to_thread(is_at_work, replica) for replica in self._replicas]
            if all(at_work):
                return
            await asyncio.sleep(LOOK_SECONDS)

    def _draw(self) -> Iterator[FaultKind]:
        """Each kind once before any comes again, in ever new order."""
        while True:
            yield from self._rng.sample(self._kinds, len(self._kinds))

    async def _inject(self, kind: FaultKind) -> None:
        victim = self._rng.choice(self._replicas)
        does: dict[FaultKind, Callable[[], Awaitable[None]]] = {
            FaultKind.KILL: lambda: self._end(victim, victim.kill),
            FaultKind.FREEZE: lambda: self._freeze(victim),
            FaultKind.RESTART: self._restart_all,
            FaultKind.DRAIN: lambda: self._end(victim, victim.stop),
            FaultKind.REDIS: self._end_redis,
        }
        await does[kind]()

    async def _end(self, program: Program, end: Callable[[], object]) -> None:
        await asyncio.to_thread(end)
        await self._wait(AWAY_SECONDS)
        await asyncio.to_thread(program.start)

    async def _freeze(self, program: Program) -> None:
        program.freeze()
        try:
            await self._wait(FROZEN_SECONDS)
        finally:
            program.thaw()

    async def _restart_all(self) -> None:
        for replica in self._replicas:
            await asyncio.to_thread(replica.stop)
            await asyncio.to_thread(replica.start)

    async def _end_redis(self) -> None:
        if self._redis is not None:
            await self._end(self._redis, self._redis.kill)

    async def _wait(self, bounds: tuple[float, float]) -> None:
        await asyncio.sleep(self._rng.uniform(*bounds))


def is_at_work(replica: Replica) -> bool:
    """Return whether it is in the middle of a reply."""
    return MetricsPage(replica.metrics_url).total("running_sequences") > 0
