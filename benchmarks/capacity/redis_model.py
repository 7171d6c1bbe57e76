"""Redis: shards that do one operation after the other, and a breaker that leaves them alone."""

from __future__ import annotations

import random
from collections.abc import Generator
from typing import Any, TypeVar

import simpy

from benchmarks.capacity.contents import Contents, Key
from benchmarks.capacity.cores import Cores, Thread
from benchmarks.capacity.costs import Costs
from benchmarks.capacity.fleet_plan import FleetPlan

Result = TypeVar("Result")
Process = Generator[simpy.Event, Any, Result]
RATE_SECONDS = 0.25  # over which operations of the sample are counted for the fleet


class RedisModel:
    """All shards. Operations of replicas that are not simulated make those that are wait."""

    def __init__(
        self,
        environment: simpy.Environment,
        plan: FleetPlan,
        costs: Costs,
        contents: Contents,
        cores: Cores | None,
        source: random.Random,
    ) -> None:
        """Without ``cores``, each shard has one of its own."""
        self.contents = contents
        self.is_down = False
        self.num_operations = 0
        self._environment = environment
        self._plan, self._costs, self._source = plan, costs, source
        self._shards = [
            Thread(environment, cores or Cores(environment, 1)) for _ in range(plan.redis_shards)
        ]
        self._counted_at, self._counted, self._load = 0.0, 0, 0.0

    @property
    def busy_seconds(self) -> float:
        """Return the processor time of all shards for the simulated replicas."""
        return sum(shard.busy_seconds for shard in self._shards)

    def operate(self, key: Key) -> Process[bool]:
        """Do one operation; return whether it was done within the budget."""
        self.num_operations += 1
        shard = self._shards[hash(key) % len(self._shards)]
        wait = self._draw_wait()
        queued = shard.num_waiting * self._costs.redis_operation_seconds
        if self.is_down or wait + queued > self._plan.redis_budget_seconds:
            yield self._environment.timeout(self._plan.redis_budget_seconds)
            return False
        yield self._environment.timeout(self._costs.redis_round_trip_seconds + wait)
        yield from shard.run(self._costs.redis_operation_seconds)
        return True

    def _draw_wait(self) -> float:
        """Draw how long operations of the rest of the fleet keep a shard busy: an M/D/1 queue."""
        if self._plan.is_whole:
            return 0.0
        load = self._measure_load()
        if load >= 1:
            return self._plan.redis_budget_seconds + 1  # a queue that only grows
        if self._source.random() >= load:
            return 0.0
        return self._source.expovariate(2 * (1 - load) / self._costs.redis_operation_seconds)

    def _measure_load(self) -> float:
        elapsed = self._environment.now - self._counted_at
        if elapsed >= RATE_SECONDS:
            rate = (self.num_operations - self._counted) / elapsed * (self._plan.scale - 1)
            self._load = rate * self._costs.redis_operation_seconds / len(self._shards)
            self._counted_at, self._counted = self._environment.now, self.num_operations
        return self._load


class Breaker:
    """Leaves Redis alone after five failures in a row; each replica has one."""

    FAILURES = 5
    FIRST_SECONDS, MOST_SECONDS = 1.0, 30.0

    def __init__(self) -> None:
        self._failures = 0
        self._pause = self.FIRST_SECONDS
        self._opens_at = 0.0

    def allows(self, now: float) -> bool:
        return now >= self._opens_at

    def note(self, now: float, *, is_done: bool) -> None:
        """Count an operation; a failure after a pause begins a longer one."""
        if is_done:
            self._failures, self._pause = 0, self.FIRST_SECONDS
            return
        self._failures += 1
        if self._failures >= self.FAILURES and self.allows(now):
            self._opens_at = now + self._pause
            self._pause = min(2 * self._pause, self.MOST_SECONDS)
