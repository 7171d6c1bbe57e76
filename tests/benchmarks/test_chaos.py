"""Replies under faults, and what is made of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks.chaos.faults import Fault, FaultKind
from benchmarks.chaos.findings import silences_by_kind
from benchmarks.chaos.streams import Silence
from benchmarks.testbed.process import run_program

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "benchmarks.chaos", "--streams", "8", "--max-tokens", "64")


def test_a_silence_belongs_to_what_happened_during_it() -> None:
    faults = [Fault(FaultKind.KILL, 1.0, 2.0), Fault(FaultKind.FREEZE, 5.0, 9.0)]
    silences = [Silence(0.5, 0.9), Silence(1.5, 2.5), Silence(0.9, 1.1), Silence(1.9, 5.1)]
    found = silences_by_kind(silences, faults)
    assert found["nothing"].max == pytest.approx(400)
    assert (found["kill"].p50, found["kill"].max) == pytest.approx((600, 1000))
    assert found["freeze"].max == pytest.approx(3200)


@pytest.mark.benchmark
@pytest.mark.timeout(300)  # a whole benchmark
def test_replies_are_compared_while_replicas_and_redis_come_and_go(
    tiny_store: Path, tmp_path: Path
) -> None:
    figures = tmp_path / "figures.json"
    options = ("--faults", "kill,redis", "--redis", "--seconds", "10", "--json", str(figures))
    done = run_program(
        [*COMMAND, f"--server-arg=--model-store={tiny_store}", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 lost" in done.stdout
    found = json.loads(figures.read_text("utf-8"))
    assert found["replies"] > 0
    assert (found["lost"], found["changed"]) == ({}, 0)
    assert sum(found["faults"].values()) > 0


@pytest.mark.parametrize(
    ("options", "said"),
    [(("--faults", "flood"), "flood"), (("--faults", "redis"), "--redis")],
)
def test_faults_that_cannot_happen_are_refused(options: tuple[str, ...], said: str) -> None:
    done = run_program([*COMMAND, *options], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert said in done.stderr
