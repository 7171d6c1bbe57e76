"""Facts of this process and its engines: memory, read at every scrape, its start, what it runs."""

from __future__ import annotations

import importlib.metadata
import math
import os
import re
from collections.abc import Callable
from pathlib import Path

import psutil

from lstmserve_server.telemetry.metrics import ProcessFamilies

UNTOLD = (OSError, psutil.Error)


def describe_process(families: ProcessFamilies, *, has_engines: bool = False) -> None:
    """Fill the families from the operating system and the installed packages.

    Memory is that of this process and, if it has engines, of their processes as well. What the
    system does not tell, such as without /proc, is NaN.
    """

    def total(of: Callable[[psutil.Process], float]) -> Callable[[], float]:
        return lambda: sum(map(of, _processes(has_engines=has_engines)))

    families.resident_memory_bytes.set_function(total(_resident_bytes))
    families.peak_memory_bytes.set_function(total(_peak_bytes))
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


def _processes(*, has_engines: bool) -> list[psutil.Process]:
    own = psutil.Process()
    return [own, *own.children()] if has_engines else [own]


def _resident_bytes(process: psutil.Process) -> float:
    try:
        return float(process.memory_info().rss)
    except psutil.NoSuchProcess:  # an engine that has just ended
        return 0.0
    except UNTOLD:
        return math.nan


def _peak_bytes(process: psutil.Process) -> float:
    # not getrusage's ru_maxrss: it begins with the peak of the process that started this one
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0 if process.pid != os.getpid() else math.nan
    except UNTOLD:
        return math.nan
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return float(found[1]) * 1024 if found else math.nan
