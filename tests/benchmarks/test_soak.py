"""Memory over many requests, and of those that wait."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.soak.growth import Sample, compute_growth
from benchmarks.testbed.process import run_program

ROOT = Path(__file__).parents[2]


def soak(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.soak", "--start", *arguments]
    return run_program(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_growth_is_that_after_the_beginning() -> None:
    # what a server takes once for its buffers is no leak; 5 bytes per request are one
    samples = [Sample(0, 1_000), Sample(100, 50_000)]
    samples += [Sample(count, 90_000 + 5 * count) for count in range(200, 1001, 100)]
    growth = compute_growth(samples)
    assert growth.bytes_per_request == pytest.approx(5)
    assert growth.settled_bytes == 91_000
    assert growth.last_bytes == 95_000


def test_too_few_samples_give_no_growth() -> None:
    with pytest.raises(ValueError, match="too few"):
        compute_growth([Sample(0, 1), Sample(10, 1)])


@pytest.mark.benchmark
def test_memory_is_watched_on_a_real_server(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    done = soak(
        *("--requests", "80", "--streams", "8", "--waiting", "30", "--json", str(figures)),
        "--server-arg=--max-running=2",
    )
    assert done.returncode == 0, done.stderr
    assert "bytes per request" in done.stdout
    assert "KB per waiting stream" in done.stdout
    found = json.loads(figures.read_text("utf-8"))
    assert found["requests"]["codes"] == {"OK": 80}
    assert found["requests"]["samples"][-1]["requests"] == 80
    assert 20 <= found["waiting"]["waiting"] <= 30


@pytest.mark.benchmark
def test_a_queue_that_is_too_short_is_told() -> None:
    queue = ("--server-arg=--max-running=1", "--server-arg=--max-waiting=5")
    done = soak("--requests", "0", "--waiting", "40", *queue)
    assert done.returncode == 2
    assert "RESOURCE_EXHAUSTED" in done.stderr
