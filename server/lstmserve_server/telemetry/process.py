"""Facts of this process: its memory, read at every scrape, its start, and what it runs."""

from __future__ import annotations

import importlib.metadata
import math
import re
from pathlib import Path

import psutil

from lstmserve_server.telemetry.metrics import ProcessFamilies


def describe_process(families: ProcessFamilies) -> None:
    """Fill the families from the operating system and the installed packages."""
    process = psutil.Process()
    families.resident_memory_bytes.set_function(lambda: process.memory_info().rss)
    families.peak_memory_bytes.set_function(_peak_bytes)
    families.start_time_seconds.set(process.create_time())
    # not asked of torch itself: a supervisor does without it
    families.info.info(
        {
            "server_version": importlib.metadata.version("lstmserve"),
            "torch_version": importlib.metadata.version("torch"),
        }
    )


def _peak_bytes() -> float:
    # not getrusage's ru_maxrss: it begins with the peak of the process that started this one
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return float(found[1]) * 1024 if found else math.nan
