"""What Ray Serve costs is measured beside what HAProxy costs, and one server without either."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks.ray_serve.cli import KEPT, WAYS
from benchmarks.testbed.process import run_program

ROOT = Path(__file__).parents[2]


@pytest.mark.system
def test_every_way_is_loaded_and_loses_nothing(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    short = ("--replicas=1", "--streams=2", "--seconds=1", "--warm-up=0", "--rounds=1", "--calls=5")
    command = [sys.executable, "-m", "benchmarks.ray_serve", *short, "--json", str(figures)]
    done = run_program(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(figures.read_text("utf-8"))["rounds"]
    assert found.keys() == WAYS.keys()
    for (each,) in found.values():
        assert each.keys() == {"2 streams", KEPT}
        assert each["2 streams"]["tokens_per_second"] > 0
        assert each["2 streams"]["failures"] == 0
        assert all(seen["p50"] > 0 for seen in each.values())
