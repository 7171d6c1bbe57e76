"""What happens to a fleet: a zone, a release, a flush, a hot question, Redis."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks.capacity.cores import Steps
from benchmarks.capacity.fleet import Fleet

Script = Callable[[Fleet], Steps]

AT_SECONDS = 4.0  # when it happens; simulated
LOST_SECONDS = 4.0  # Redis
START_SECONDS = 1.0  # until a new replica serves
POLL_SECONDS = 0.1
HOT_SHARE = 0.5


def lose_zone(fleet: Fleet) -> Steps:
    """End a third of the replicas at once."""
    yield fleet.environment.timeout(AT_SECONDS)
    for replica in fleet.replicas[: fleet.plan.simulated // 3]:
        fleet.clients.in_service.remove(replica)
        replica.stop()


def roll_out(fleet: Fleet) -> Steps:
    """Drain one replica after the other; each is replaced by one that has kept nothing."""
    yield fleet.environment.timeout(AT_SECONDS)
    for replica in fleet.replicas[: fleet.plan.simulated]:
        fleet.clients.in_service.remove(replica)
        while replica.num_calls:
            yield fleet.environment.timeout(POLL_SECONDS)
        yield fleet.environment.timeout(START_SECONDS)
        fresh = fleet.make_replica(is_warm=False)
        fleet.replicas.append(fresh)
        fleet.clients.in_service.append(fresh)


def flush(fleet: Fleet) -> Steps:
    """Forget all kept replies, here and in Redis; how often each was asked for stays."""
    yield fleet.environment.timeout(AT_SECONDS)
    for replica in fleet.replicas:
        replica.kept.clear()
    if fleet.redis is not None:
        fleet.redis.contents.clear(fleet.environment.now)


def ask_hot(fleet: Fleet) -> Steps:
    """Let half of all requests be one question."""
    yield fleet.environment.timeout(AT_SECONDS)
    fleet.drawn.hot_share = HOT_SHARE


def lose_redis(fleet: Fleet) -> Steps:
    """Let Redis answer nothing for a while."""
    yield fleet.environment.timeout(AT_SECONDS)
    if fleet.redis is not None:
        fleet.redis.is_down = True
        yield fleet.environment.timeout(LOST_SECONDS)
        fleet.redis.is_down = False


def stay(fleet: Fleet) -> Steps:
    """Change nothing."""
    yield fleet.environment.timeout(0)


SCENARIOS: Mapping[str, Script] = {
    "steady": stay,
    "a zone lost": lose_zone,
    "a release rolled out": roll_out,
    "all caches flushed": flush,
    "a hot question": ask_hot,
    "Redis lost": lose_redis,
}
