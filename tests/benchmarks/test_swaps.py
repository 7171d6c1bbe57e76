"""Versions published one after the other under load."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks.swaps.store import GrowingStore
from benchmarks.testbed.process import run_program
from lstmserve_bundle import open_bundle

ROOT = Path(__file__).parents[2]


def test_every_version_of_a_growing_store_is_whole_and_the_same(
    tiny_store: Path, tmp_path: Path
) -> None:
    store = GrowingStore(tiny_store / "tiny" / "1", tmp_path)
    assert store.publish() == 2
    first, second = (open_bundle(tmp_path / "tiny" / str(number)) for number in (1, 2))
    assert (first.manifest.version, second.manifest.version) == (1, 2)
    assert first.manifest.files == second.manifest.files
    store.delete(1)
    assert [path.name for path in (tmp_path / "tiny").iterdir()] == ["2"]


@pytest.mark.benchmark
def test_replies_are_compared_while_versions_come_and_go(tiny_store: Path, tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks.swaps", "--swaps", "4", "--quiet-seconds", "0.1"]
    options = ("--source", str(tiny_store / "tiny" / "1"), "--json", str(figures))
    done = run_program([*command, *options], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "0 failed" in done.stdout
    found = json.loads(figures.read_text("utf-8"))
    assert found["versions"] == 5
    assert found["replies"] > 0
    assert (found["failed"], found["different"]) == ({}, 0)
    assert len(found["swap_seconds"]) == 4
