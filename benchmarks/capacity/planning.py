"""How many replicas a load needs, by arithmetic; a simulated sample then shows the latencies."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil

from benchmarks.capacity.contents import likely_near, likely_redis
from benchmarks.capacity.costs import Costs
from benchmarks.capacity.fleet_plan import FleetPlan
from benchmarks.capacity.traffic import Traffic

ROUNDS = 8  # more replicas: each keeps less, so more are needed


@dataclass(frozen=True)
class Need:
    """What a load takes at a utilization."""

    replicas: int
    limit: str  # what is full first
    near_share: float  # of requests, answered from the process
    far_share: float  # by Redis
    redis_operations_per_second: float
    redis_shards: int


def find_need(plan: FleetPlan, traffic: Traffic, costs: Costs, utilization: float) -> Need:
    """Return the replicas of the plan's kind, so that none of their parts is fuller than this."""
    replicas = plan.replicas
    for _ in range(ROUNDS):
        sized = replace(plan, replicas=replicas)
        near, far = find_shares(sized, traffic)
        loads = seconds_per_request(sized, traffic, costs, near, far)
        limit = max(loads, key=loads.__getitem__)
        replicas = max(1, ceil(traffic.rate * loads[limit] / utilization))
    # a lookup of the reply, and where there is none one of the state and a write
    askable = 1 - traffic.fresh_share - near
    operations = traffic.rate * (askable + 2 * (askable - far)) if plan.redis_shards else 0.0
    shards = ceil(operations * costs.redis_operation_seconds / utilization)
    return Need(replicas, limit, near, far, operations, shards)


def find_shares(plan: FleetPlan, traffic: Traffic) -> tuple[float, float]:
    """Return the shares of requests that the process answers, and Redis after it."""
    shares = traffic.shares
    near = likely_near(plan, traffic)
    # of what is not near, Redis has what the whole fleet was asked for
    far = (1 - near) * likely_redis(plan, traffic) if plan.redis_shards else 0 * near
    return float((shares * near).sum()), float((shares * far).sum())


def seconds_per_request(
    plan: FleetPlan, traffic: Traffic, costs: Costs, near: float, far: float
) -> dict[str, float]:
    """Return the seconds that a request takes on average of each part of one replica."""
    generated, asked = 1 - near - far, 1 - traffic.fresh_share - near
    sent = 1 + ceil((traffic.mean_tokens - 1) / plan.engine.quantum_steps)
    messages = sent if traffic.is_streamed else 1
    front = (
        (near + far) * costs.front_kept_seconds
        + (asked * costs.front_far_seconds if plan.redis_shards else 0.0)
        + generated * costs.front_generated_seconds
        + messages * costs.front_message_seconds
    )
    engine = generated * engine_seconds(plan, traffic, costs)
    return {
        "the server's own process": front,
        "the engine": engine,
        "cores": (front + engine) / plan.cores,
    }


def engine_seconds(plan: FleetPlan, traffic: Traffic, costs: Costs) -> float:
    """Return the seconds of the engine's thread for a reply, all places taken."""
    rows, quantum = plan.engine.max_running, plan.engine.quantum_steps
    token = (costs.step(rows) + costs.turn_seconds / quantum) / rows
    prompt = sum(traffic.prompt_tokens) / 2 * costs.prefill_token_seconds
    return costs.engine_factor * (traffic.mean_tokens * token + prompt + costs.reply_seconds)
