"""Memory of this process, read at every scrape."""

from __future__ import annotations

import resource

import psutil

from lstmserve_server.telemetry.metrics import Metrics


def watch_memory(metrics: Metrics) -> None:
    """Fill the memory gauges from the operating system."""
    process = psutil.Process()
    metrics.resident_memory_bytes.set_function(lambda: process.memory_info().rss)
    metrics.peak_memory_bytes.set_function(_peak_bytes)


def _peak_bytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0  # Linux counts kibibytes
