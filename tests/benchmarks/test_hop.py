"""What messages between an engine and its server cost, by every transport and codec."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks.hop.cli import CODECS
from benchmarks.hop.transports import TRANSPORTS
from benchmarks.testbed.process import run_program

ROOT = Path(__file__).parents[2]


@pytest.mark.benchmark
def test_every_way_is_timed(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    short = ("--turns", "10", "--rounds", "2", "--rows", "3")
    command = [sys.executable, "-m", "benchmarks.hop", *short, "--json", str(figures)]
    done = run_program(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(figures.read_text("utf-8"))["seconds_per_turn"]
    assert found.keys() == {f"{codec}, {transport}" for codec in CODECS for transport in TRANSPORTS}
    assert all(len(times) == 2 and min(times) > 0 for times in found.values())
