"""How much each part asks: enough for figures, or just enough to see that all of it works."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PopularityRun:
    """One server of the popularity part."""

    entries: int | None  # that its memory holds, about; None: all
    threshold: int


@dataclass(frozen=True)
class Sizes:
    """Counts and seconds of all parts."""

    latency_blocks: int
    latency_block_calls: int
    callers: tuple[int, ...]
    throughput_seconds: float
    throughput_warm_up_seconds: float
    stampede_requests: int
    stampede_rounds: int
    prompts: int
    popularity_requests: int
    popularity_runs: tuple[PopularityRun, ...]  # the first holds everything
    freezes: int
    frozen_burst: int
    frozen_pairs: int  # of each freeze, once Redis is left alone
    conversations: int
    memory_bytes: int  # that the stores of the memory part may take
    memory_fillings: int  # with how many kinds of entries
    admission_keys: tuple[int, ...]  # how many different requests
    tail_prompts: int  # of the popularity with a long tail
    tail_requests: int
    replicas: tuple[int, ...]  # of the routing part; it starts the most of them
    routed_prompts: int
    routed_requests: int
    routed_conversations: int
    failover_prompts: int
    failover_rate: float  # calls a second, to each of two servers
    calm_seconds: float  # before the fault, and after it
    node_timeout_ms: int  # of the cluster
    shard_prompts: int
    shard_requests: int  # of each of two loads, to each of three servers


FULL = Sizes(
    latency_blocks=40,
    latency_block_calls=50,
    callers=(16, 64),
    throughput_seconds=5.0,
    throughput_warm_up_seconds=1.0,
    stampede_requests=1000,
    stampede_rounds=5,
    prompts=10_000,
    popularity_requests=20_000,
    popularity_runs=(
        PopularityRun(None, 2),
        PopularityRun(None, 1),
        PopularityRun(2000, 1),
        PopularityRun(2000, 2),
        PopularityRun(200, 1),
        PopularityRun(200, 2),
    ),
    freezes=20,
    frozen_burst=16,
    frozen_pairs=100,
    conversations=50,
    memory_bytes=64 << 20,
    memory_fillings=5,
    admission_keys=(10_000, 100_000, 1_000_000, 10_000_000),
    tail_prompts=1_000_000,
    tail_requests=2_000_000,
    replicas=(2, 8),
    routed_prompts=1000,
    routed_requests=3000,
    routed_conversations=24,
    failover_prompts=1000,
    failover_rate=50.0,
    calm_seconds=10.0,
    node_timeout_ms=5000,
    shard_prompts=1000,
    shard_requests=20_000,
)
SHORT = Sizes(
    latency_blocks=4,
    latency_block_calls=10,
    callers=(16,),
    throughput_seconds=1.0,
    throughput_warm_up_seconds=0.5,
    stampede_requests=100,
    stampede_rounds=1,
    prompts=300,
    popularity_requests=900,
    popularity_runs=(PopularityRun(None, 2), PopularityRun(30, 1)),
    freezes=1,
    frozen_burst=8,
    frozen_pairs=20,
    conversations=2,
    memory_bytes=8 << 20,
    memory_fillings=1,
    admission_keys=(2000,),
    tail_prompts=3000,
    tail_requests=6000,
    replicas=(2,),
    routed_prompts=100,
    routed_requests=400,
    routed_conversations=4,
    failover_prompts=40,
    failover_rate=20.0,
    calm_seconds=3.0,
    node_timeout_ms=1000,
    shard_prompts=40,
    shard_requests=400,
)
