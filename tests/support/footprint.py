"""What a process holds, as the kernel counts it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import psutil

from benchmarks.testbed.server import ServerProcess
from lstmserve.v1 import generation_service_pb2 as pb
from support.metrics_page import scrape_until
from support.served import Served


@dataclass(frozen=True)
class Footprint:
    """Of one moment."""

    files: int  # file descriptors
    threads: int
    resident_bytes: int

    @classmethod
    def of(cls, server: ServerProcess) -> Self:
        process = psutil.Process(server.process.pid)
        return cls(process.num_fds(), process.num_threads(), process.memory_info().rss)


def files_until(served: Served, condition: Callable[[int], bool]) -> Footprint:
    """The footprint once so many file descriptors are open."""
    scrape_until(
        served.process.metrics_url, lambda _: condition(Footprint.of(served.process).files)
    )
    return Footprint.of(served.process)


def settled(served: Served) -> Footprint:
    """The footprint when nothing runs, and the connection of ``served`` is open."""
    served.ask(pb.GenerateRequest(prompt="hello"))
    served.page_once_idle()
    return Footprint.of(served.process)
