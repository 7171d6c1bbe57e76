"""What authentication costs, measured on real servers."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.testbed.process import run_program

ROOT = Path(__file__).parents[2]


@pytest.mark.benchmark
def test_servers_that_know_callers_are_compared_with_one_that_does_not() -> None:
    short = ("--principals", "1,3", "--blocks", "2", "--calls", "5")
    command = [sys.executable, "-m", "benchmarks.auth", *short]
    done = run_program(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in ("nobody has to be known", "1 principals: ratio", "3 principals: more"):
        assert name in done.stdout
