"""Facts of this process: its memory, read at every scrape, its start, and what it runs."""

from __future__ import annotations

import importlib.metadata
import math
import re
from pathlib import Path

import psutil

from lstmserve_server.telemetry.metrics import ProcessFamilies

UNTOLD = (OSError, psutil.Error)


def describe_process(families: ProcessFamilies) -> None:
    """Fill the families from the operating system and the installed packages.

    What the system does not tell, such as without /proc, is NaN.
    """
    families.resident_memory_bytes.set_function(_resident_bytes)
    families.peak_memory_bytes.set_function(_peak_bytes)
    try:
        families.start_time_seconds.set(psutil.Process().create_time())
    except UNTOLD:
        families.start_time_seconds.set(math.nan)
    # not asked of torch itself: a supervisor does without it
    families.info.info(
        {
            "server_version": importlib.metadata.version("lstmserve"),
            "torch_version": importlib.metadata.version("torch"),
        }
    )


def _resident_bytes() -> float:
    try:
        return float(psutil.Process().memory_info().rss)
    except UNTOLD:
        return math.nan


def _peak_bytes() -> float:
    # not getrusage's ru_maxrss: it begins with the peak of the process that started this one
    try:
        status = Path("/proc/self/status").read_text()
    except UNTOLD:
        return math.nan
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return float(found[1]) * 1024 if found else math.nan
