"""What a server costs while it is loaded: memory and CPU."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.request import urlopen

import psutil
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.testbed.server import RunningServer

MEMORY_METRICS = ("lstmserve_resident_memory_bytes", "lstmserve_peak_memory_bytes")


@dataclass(frozen=True)
class ServerUsage:
    """Bytes and seconds of CPU; None where that is not known."""

    resident_bytes: int | None = None
    peak_bytes: int | None = None
    cpu_seconds: float | None = None


def measure_usage(server: RunningServer) -> ServerUsage:
    """Of all its processes where the server runs here, else what its metrics page tells."""
    page = read_metrics(server.metrics_url) if server.metrics_url else {}
    resident, peak = (_to_bytes(page.get(name)) for name in MEMORY_METRICS)
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


def read_metrics(url: str) -> dict[str, float]:
    """Each metric of the page; the sum where it has labels."""
    with urlopen(url, timeout=10) as answer:  # noqa: S310 - the operator names it
        text = answer.read().decode()
    found: defaultdict[str, float] = defaultdict(float)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name] += sample.value
    return found


def _to_bytes(value: float | None) -> int | None:
    return None if value is None else int(value)
