"""What a process tells of itself: memory of its own, whatever started it, and its start."""

from __future__ import annotations

import sys
import time

from benchmarks.testbed.process import run_program

STARTER_BYTES = 400 << 20
CLOCK_SECONDS = 2  # the kernel tells the time of the boot in whole seconds
STARTER = f"""
import os, sys
large = b"x" * {STARTER_BYTES}
os.execv(sys.executable, [sys.executable, "-c", sys.argv[1]])
"""
STARTED = """
from prometheus_client import CollectorRegistry
from lstmserve_server.telemetry.metrics import Metrics
from lstmserve_server.telemetry.process import describe_process
registry = CollectorRegistry()
describe_process(Metrics(registry).process)
for name in ("resident_memory_bytes", "peak_memory_bytes", "start_time_seconds"):
    print(registry.get_sample_value(f"lstmserve_{name}"))
"""


def test_the_peak_is_not_that_of_the_process_that_started_this_one() -> None:
    began_at = time.time()
    ended = run_program(
        [sys.executable, "-c", STARTER, STARTED], capture_output=True, text=True, check=True
    )
    resident, peak, started_at = map(float, ended.stdout.split())
    assert 10e6 < resident < 1.02 * peak  # the kernel counts them apart, and rounds
    assert peak < STARTER_BYTES
    assert began_at - CLOCK_SECONDS <= started_at <= time.time() + CLOCK_SECONDS
