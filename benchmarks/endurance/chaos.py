"""Replicas, Redis and a proxy before them, under load while faults happen to them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from benchmarks.endurance.callers import Callers, Heard
from benchmarks.endurance.faults import Fault, FaultKind, Faults
from benchmarks.endurance.replies import Question, learn
from benchmarks.endurance.watched import Watch, watched_async_client
from benchmarks.load.prompts import load_prompts
from benchmarks.load.report import show_progress
from benchmarks.testbed.ports import find_free_address
from benchmarks.testbed.proxies import nginx
from benchmarks.testbed.redis import RedisProcess
from benchmarks.testbed.server import Replica, start_server
from lstmserve_client import CacheMode, GenerateOptions, SamplingParams, StoppingCriteria

NUM_QUESTIONS = 64
UNARY_SHARE = 0.25


class Proxy(StrEnum):
    """What may stand before replicas."""

    NGINX = "nginx"


@dataclass(frozen=True)
class ChaosPlan:
    """What the command line asks for."""

    replicas: int
    streams: int
    kinds: Sequence[FaultKind]
    seconds: float
    max_tokens: int
    seed: int
    with_redis: bool
    through: Proxy | None


@dataclass(frozen=True)
class Stage:
    """Where callers connect, and what faults may happen to."""

    targets: Sequence[str]
    replicas: Sequence[Replica]
    redis: RedisProcess | None


def learn_alone(arguments: Sequence[str], plan: ChaosPlan) -> Sequence[Question]:
    """Ask a server to which nothing happens, and which then ends."""
    with start_server(arguments) as undisturbed:
        return learn(undisturbed.target, _asks(plan.max_tokens, is_kept=plan.with_redis))


def _asks(max_tokens: int, *, is_kept: bool) -> Iterator[tuple[str, GenerateOptions]]:
    """With a Redis every second reply may be kept there; all others are generated each time."""
    modes = (CacheMode.DEFAULT if is_kept else CacheMode.BYPASS, CacheMode.BYPASS)
    for number, prompt in enumerate(load_prompts()[:NUM_QUESTIONS]):
        yield (
            prompt,
            {
                "sampling": SamplingParams(seed=number, temperature=0.9),
                "stopping": StoppingCriteria(min_tokens=max_tokens, max_tokens=max_tokens),
                "cache_mode": modes[number % 2],
            },
        )


@contextmanager
def open_stage(arguments: Sequence[str], plan: ChaosPlan) -> Iterator[Stage]:
    """Start it all; raises ProgramError if anything does not start."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        redis = stack.enter_context(RedisProcess()) if plan.with_redis else None
        shared = ("--redis-url", redis.url) if redis else ()
        replicas = [
            stack.enter_context(Replica(find_free_address(), *shared, *arguments))
            for _ in range(plan.replicas)
        ]
        targets = [replica.address for replica in replicas]
        if plan.through is not None:
            targets = [stack.enter_context(nginx(targets, Path(name)))]
        yield Stage(targets, replicas, redis)


async def run_chaos(
    stage: Stage, questions: Sequence[Question], plan: ChaosPlan
) -> tuple[Heard, Sequence[Fault], Watch]:
    """Let faults happen while callers ask."""
    watch = Watch()
    faults = Faults(plan.kinds, stage.replicas, stage.redis, plan.seed)
    async with watched_async_client(stage.targets, watch) as client:
        callers = Callers(client, questions, plan.streams, seed=plan.seed, unary_share=UNARY_SHARE)
        with show_progress("faults", None) as on_progress:
            async with callers.asking():
                await faults.run(plan.seconds, on_progress)
    return callers.heard, faults.happened, watch
