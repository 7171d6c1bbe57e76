"""All that runs: replicas, Redis, and a proxy before them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from benchmarks.testbed.ports import find_free_address
from benchmarks.testbed.proxies import nginx
from benchmarks.testbed.redis import RedisProcess
from benchmarks.testbed.server import Replica


class Proxy(StrEnum):
    """What may stand before replicas."""

    NGINX = "nginx"


@dataclass(frozen=True)
class Stage:
    """Where callers connect, and what faults may happen to."""

    targets: Sequence[str]
    replicas: Sequence[Replica]
    redis: RedisProcess | None


@contextmanager
def open_stage(
    count: int, arguments: Sequence[str], *, with_redis: bool, through: Proxy | None
) -> Iterator[Stage]:
    """So many replicas; raises ProgramError if anything does not start."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        redis = stack.enter_context(RedisProcess()) if with_redis else None
        shared = ("--redis-url", redis.url) if redis else ()
        replicas = [
            stack.enter_context(Replica(find_free_address(), *shared, *arguments))
            for _ in range(count)
        ]
        targets = [replica.address for replica in replicas]
        if through is not None:
            targets = [stack.enter_context(nginx(targets, folder))]
        yield Stage(targets, replicas, redis)
