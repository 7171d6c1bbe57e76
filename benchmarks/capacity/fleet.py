"""A fleet under a load: all replicas, or a sample of them with the load that falls on each.

Replicas behind one balancer are alike, so a sample of them shows what all do. What they share is
taken for the whole fleet: operations of Redis' shards, and what Redis holds.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

import simpy

from benchmarks.capacity.clients import Clients
from benchmarks.capacity.contents import ExactContents, LikelyContents, fill, likely_near
from benchmarks.capacity.cores import Cores, Steps, Thread
from benchmarks.capacity.costs import Costs
from benchmarks.capacity.drawing import DrawnRequests
from benchmarks.capacity.fleet_plan import FleetPlan
from benchmarks.capacity.flight import Call
from benchmarks.capacity.others import start_others
from benchmarks.capacity.outcome import Use
from benchmarks.capacity.redis_model import RedisModel
from benchmarks.capacity.replica import Replica
from benchmarks.capacity.traffic import Request, Traffic


class Fleet:
    """Replicas, Redis and clients in one simulation; scenarios change it while it runs."""

    def __init__(
        self,
        plan: FleetPlan,
        traffic: Traffic,
        costs: Costs,
        seed: int,
        others: float = 0.0,
        requests: Iterable[Request] | None = None,
    ) -> None:
        """``others``: threads of other programs that want a core, where one machine has all.

        ``requests`` come instead of what is drawn.
        """
        self.environment = simpy.Environment()
        self.plan, self.traffic, self.costs = plan, traffic, costs
        self._seed, self._source = seed, random.Random(seed)
        self._fortunes = random.Random(f"fortunes {seed}")  # of its own: what comes stays the same
        self._machine = self._share_machine(others) if plan.is_machine_shared else None
        self.redis = self._make_redis() if plan.redis_shards else None
        self.replicas = [self.make_replica(is_warm=plan.is_warm) for _ in range(plan.simulated)]
        cold = costs.generator_cold_seconds
        generator = Thread(self.environment, self._machine, cold) if self._machine else None
        self.clients = Clients(
            self.environment, self.replicas, plan.balancer, costs, self._source, generator
        )
        self.num_begun = 0
        rate = traffic.rate / plan.scale
        self.drawn = DrawnRequests(self.environment, traffic, rate, seed, self._source)
        self._requests = self.drawn if requests is None else requests
        self._is_over = False
        self._all_ended = self.environment.event()

    def run(self, seconds: float) -> None:
        """Let requests come for so long, and wait until each has ended."""
        self.environment.process(self._come(seconds))
        self.environment.run(self._all_ended)

    def make_replica(self, *, is_warm: bool) -> Replica:
        """Return another replica, not in service yet."""
        cores = self._machine or Cores(self.environment, self.plan.cores)
        replica = Replica(
            self.environment,
            self.plan,
            self.costs,
            cores,
            self.redis,
            is_streamed=self.traffic.is_streamed,
        )
        if is_warm:
            rate = self.traffic.rate / self.plan.replicas
            likely = likely_near(self.plan, self.traffic)
            fill(replica.kept, likely, rate, self.traffic, self._source.randrange(1 << 32))
        return replica

    def use(self, begun: Use, seconds: float) -> Use:
        """Return what was used since a look at ``totals``."""
        ended, each = self.totals(), self.plan.simulated * seconds
        front, engine = ended.front - begun.front, ended.engine - begun.engine
        operations = ended.redis_operations_per_second - begun.redis_operations_per_second
        shards = max(1, self.plan.redis_shards) * seconds
        shard_seconds = (ended.redis_shard - begun.redis_shard) * self.plan.scale
        return Use(
            front / each,
            engine / each,
            (front + engine) / each / self.plan.cores,
            shard_seconds / shards,
            operations * self.plan.scale / seconds,
        )

    def totals(self) -> Use:
        """Return the processor seconds and operations since the beginning."""
        front = sum(replica.front.busy_seconds for replica in self.replicas)
        engine = sum(replica.worker.busy_seconds for replica in self.replicas)
        redis = self.redis
        return Use(
            front,
            engine,
            front + engine,
            redis.busy_seconds if redis else 0.0,
            redis.num_operations if redis else 0,
        )

    def _share_machine(self, others: float) -> Cores:
        cores = Cores(self.environment, self.plan.cores)
        start_others(self.environment, cores, others, self._source)
        return cores

    def _make_redis(self) -> RedisModel:
        contents = (
            ExactContents(self.plan, self.traffic, self._seed)
            if self.plan.is_whole
            else LikelyContents(self.plan, self.traffic, self._source)
        )
        return RedisModel(
            self.environment, self.plan, self.costs, contents, self._machine, self._source
        )

    def _come(self, seconds: float) -> Steps:
        for moment, question in self._requests:
            if moment >= seconds:
                break
            yield self.environment.timeout(moment - self.environment.now)
            now, patience = self.environment.now, self.traffic.timeout_seconds
            call = Call(question, now, now + patience, self._fortunes.random())
            self.num_begun += 1
            self.environment.process(self.clients.ask(call, self._on_end))
        self._is_over = True
        self._on_end()

    def _on_end(self) -> None:
        is_done = self._is_over and len(self.clients.ended) == self.num_begun
        if is_done and not self._all_ended.triggered:
            self._all_ended.succeed()
