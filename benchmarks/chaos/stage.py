"""All that runs: replicas, Redis, and a proxy before them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from benchmarks.cache.redis_server import find_program
from benchmarks.chaos.nginx import nginx
from benchmarks.chaos.program import HOST, Program, Replica, find_free_address


class Proxy(StrEnum):
    """What may stand before replicas."""

    NGINX = "nginx"


@dataclass(frozen=True)
class Stage:
    """Where callers connect, and what faults may happen to."""

    targets: Sequence[str]
    replicas: Sequence[Replica]
    redis: Program | None


@contextmanager
def open_stage(
    count: int, arguments: Sequence[str], *, with_redis: bool, through: Proxy | None
) -> Iterator[Stage]:
    """So many replicas; raises ServerError if anything does not start."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        redis = stack.enter_context(_make_redis(folder)) if with_redis else None
        shared = ("--redis-url", f"redis://{redis.address}") if redis else ()
        replicas = [
            stack.enter_context(
                Replica(find_free_address(), folder / f"{number}.log", *shared, *arguments)
            )
            for number in range(count)
        ]
        targets = [replica.address for replica in replicas]
        if through is not None:
            targets = [stack.enter_context(nginx(targets, folder))]
        yield Stage(targets, replicas, redis)


def _make_redis(folder: Path) -> Program:
    address = find_free_address()
    port = address.removeprefix(f"{HOST}:")
    options = ("--bind", HOST, "--port", port, "--save", "", "--appendonly", "no")
    return Program([find_program(), *options], address, folder / "redis.log")
