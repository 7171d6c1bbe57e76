"""What a server tells of itself while it is loaded, and what it costs: memory and CPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from benchmarks.testbed.metrics_page import MetricsPage
from benchmarks.testbed.server import RunningServer

MEMORY_METRICS = ("resident_memory_bytes", "peak_memory_bytes")


class MeasureError(Exception):
    """What was to be measured cannot be."""


@dataclass(frozen=True)
class ServerUsage:
    """Bytes and seconds of CPU; None where that is not known."""

    resident_bytes: int | None = None
    peak_bytes: int | None = None
    cpu_seconds: float | None = None


def measure_usage(server: RunningServer) -> ServerUsage:
    """Of all its processes where the server runs here, else what its metrics page tells."""
    resident, peak = _read_memory(server.metrics_url) if server.metrics_url else (None, None)
    if server.pid is None:
        return ServerUsage(resident, peak)
    processes = _tree(server.pid)
    return ServerUsage(
        resident_bytes=sum(process.memory_info().rss for process in processes),
        peak_bytes=peak,
        cpu_seconds=sum(sum(process.cpu_times()[:2]) for process in processes),
    )


def summarize_usage(usages: Sequence[ServerUsage]) -> ServerUsage:
    """From the first to the last: CPU between them, memory at the end, the highest seen."""
    first, last = usages[0], usages[-1]
    seen = [size for usage in usages for size in (usage.resident_bytes, usage.peak_bytes) if size]
    return ServerUsage(
        resident_bytes=last.resident_bytes,
        peak_bytes=max(seen, default=None),
        cpu_seconds=(
            last.cpu_seconds - first.cpu_seconds
            if first.cpu_seconds is not None and last.cpu_seconds is not None
            else None
        ),
    )


def _tree(pid: int) -> list[psutil.Process]:
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def scrape(server: RunningServer) -> MetricsPage:
    """Return its metrics page; raises MeasureError where that is not known."""
    if server.metrics_url is None:
        raise MeasureError("the server's metrics page is not known: give its URL")
    return MetricsPage(server.metrics_url)


def read_resident(server: RunningServer) -> int:
    """Return its resident bytes; raises MeasureError where they are not known."""
    resident = measure_usage(server).resident_bytes
    if resident is None:
        raise MeasureError("the server's memory is not known: give its metrics page or process")
    return resident


def _read_memory(url: str) -> list[int | None]:
    page = MetricsPage(url)
    found = [page.values(name).get(()) for name in MEMORY_METRICS]
    return [None if value is None else int(value) for value in found]
