"""What serves: how many replicas, their cores, caches and Redis."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from lstmserve_server.config import EngineConfig

ENTRY_BYTES = 750  # of a kept reply beside its own; docs/cache.md
TOKEN_BYTES = 10  # of each of its tokens, with its text


class Balancer(StrEnum):
    """Who gets a request."""

    RANDOM = "random"
    LEAST = "least"  # connections: the replica with the fewest calls
    CALLER = "caller"  # a replica for each caller, who is a number


@dataclass(frozen=True)
class FleetPlan:
    """A fleet; with a sample, only so many of its replicas are simulated."""

    replicas: int
    sample: int | None = None
    cores: float = 2.0  # of each replica: its own process and its engine share them
    engine: EngineConfig = field(default_factory=EngineConfig)
    balancer: Balancer = Balancer.LEAST
    cache_bytes: float = 64 << 20
    threshold: int = 2
    window_seconds: float = 3600.0
    ttl_seconds: float = 86400.0
    redis_shards: int = 1  # 0: no Redis
    redis_bytes: float = 1 << 30  # of each shard
    redis_budget_seconds: float = 0.02
    is_warm: bool = True  # caches hold at the beginning what they would after a day
    is_machine_shared: bool = False  # one machine's cores for replicas, Redis and the generator

    @property
    def simulated(self) -> int:
        return min(self.sample or self.replicas, self.replicas)

    @property
    def scale(self) -> float:
        """Return how many replicas each simulated one stands for."""
        return self.replicas / self.simulated

    @property
    def is_whole(self) -> bool:
        return self.simulated == self.replicas


def entry_bytes(tokens: float) -> float:
    """Return what a kept reply takes, in process or in Redis about as much."""
    return ENTRY_BYTES + TOKEN_BYTES * tokens
