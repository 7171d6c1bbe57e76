"""Memory is this process's own, whatever started it."""

from __future__ import annotations

import subprocess
import sys

STARTER_BYTES = 400 << 20
STARTER = f"""
import os, sys
large = b"x" * {STARTER_BYTES}
os.execv(sys.executable, [sys.executable, "-c", sys.argv[1]])
"""
STARTED = """
from prometheus_client import CollectorRegistry
from lstmserve_server.telemetry.memory import watch_memory
from lstmserve_server.telemetry.metrics import Metrics
registry = CollectorRegistry()
watch_memory(Metrics(registry))
for kind in ("resident", "peak"):
    print(registry.get_sample_value(f"lstmserve_{kind}_memory_bytes"))
"""


def test_the_peak_is_not_that_of_the_process_that_started_this_one() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", STARTER, STARTED], capture_output=True, text=True, check=True
    )
    resident, peak = map(float, ended.stdout.split())
    assert 10e6 < resident < 1.02 * peak  # the kernel counts them apart, and rounds
    assert peak < STARTER_BYTES
