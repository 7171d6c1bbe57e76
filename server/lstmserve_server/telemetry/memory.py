"""Memory of this process, read at every scrape."""

from __future__ import annotations

import math
import re
from pathlib import Path

import psutil

from lstmserve_server.telemetry.metrics import Metrics


def watch_memory(metrics: Metrics) -> None:
    """Fill the memory gauges from the operating system."""
    process = psutil.Process()
    metrics.resident_memory_bytes.set_function(lambda: process.memory_info().rss)
    metrics.peak_memory_bytes.set_function(_peak_bytes)


def _peak_bytes() -> float:
    # not getrusage's ru_maxrss: it begins with the peak of the process that started this one
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return float(found[1]) * 1024 if found else math.nan
