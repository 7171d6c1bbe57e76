"""Servers that serve the same, each of which may be killed, frozen and started again."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.chaos.program import Replica, find_free_port

# what is asked for twice is generated twice: a kept reply would prove nothing
UNCACHED = ("--cache-bytes", "0", "--state-cache-bytes", "0")
AT_ONCE = ("--drain-notice-seconds", "0")


@contextmanager
def replicas(stores: Sequence[Path], *arguments: str) -> Iterator[list[Replica]]:
    """One server for each store, for as long as the block takes."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        port = find_free_port()  # all have the same, as behind one name, and a host each
        made = [
            Replica(
                f"127.0.0.{number + 2}:{port}",
                Path(folder, f"{number}.log"),
                *("--model-store", str(store), *AT_ONCE, *UNCACHED, *arguments),
            )
            for number, store in enumerate(stores)
        ]
        with ThreadPoolExecutor() as pool:  # starting takes a while
            for started in [pool.submit(stack.enter_context, each) for each in made]:
                started.result()
        yield made


def targets_of(servers: Sequence[Replica]) -> list[str]:
    return [server.address for server in servers]
