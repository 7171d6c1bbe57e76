"""The verbs of the capacity benchmark, in small."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.capacity.cli import app
from benchmarks.testbed.process import run_program

ROOT = Path(__file__).parents[2]
FEW = ("--replicas", "2", "--sample", "1", "--rate", "20", "--seconds", "1", "--warm-up", "0.5")


def capacity(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.capacity", *arguments]
    return run_program(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.benchmark
def test_costs_are_measured_and_the_simulation_compared_with_a_server(tmp_path: Path) -> None:
    costs, runs, table = (tmp_path / name for name in ("costs.json", "runs.json", "table.md"))
    done = capacity("measure", "--seconds", "3", "--json", str(costs))
    assert done.returncode == 0, done.stderr
    found = json.loads(costs.read_text("utf-8"))["costs"]
    assert 0 < found["step_seconds"]["1"] < found["step_seconds"]["128"]
    assert found["front_generated_seconds"] + found["front_message_seconds"] > 0
    short = ("--replicas", "1", "--rates", "5", "--seconds", "3", "--warm-up", "0.5")
    kept = ("--repeats", "1", "--costs", str(costs), "--json", str(runs))
    done = capacity("validate", *short, *kept, "--markdown", str(table))
    assert done.returncode == 0, done.stderr
    assert [run["loaded"]["is_kept"] for run in json.loads(runs.read_text("utf-8"))["runs"]] == [
        False,
        True,
    ]
    assert "all generated" in table.read_text("utf-8")
    again = capacity("validate", "--again", str(runs), "--costs", str(costs))
    assert again.stdout.strip() == table.read_text("utf-8").strip()


@pytest.mark.benchmark
def test_a_report_draws_its_pictures(tmp_path: Path) -> None:
    figures = tmp_path / "report.json"
    short = ("--seconds", "1", "--scenario-seconds", "10", "--output", str(tmp_path))
    done = capacity("report", *short, "--json", str(figures))
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.glob("*.png")} == {
        "replicas.png",
        "utilization.png",
        "scenarios.png",
    }
    assert set(json.loads(figures.read_text("utf-8"))["zone_lost"]) == {"0.4", "0.5", "0.6", "0.7"}


def test_a_fleet_is_simulated_as_the_options_say() -> None:
    changed = ("--traffic", "fresh_share=1", "--traffic", "tokens=4-8", "--fleet", "max_running=2")
    done = CliRunner().invoke(app, ["simulate", *FEW, *changed])
    assert done.exit_code == 0, done.output
    assert "first token, p50, p99" in done.output
    assert "100.0% generated" in done.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--traffic", "speed=1"), "none of"),
        (("--traffic", "questions=many"), "questions"),
        (("--fleet", "balancer=best"), "balancer"),
        (("--cost", "speed=1"), "no cost"),
        (("--costs", "/nowhere.json"), "nowhere"),
    ],
)
def test_a_command_that_makes_no_sense_is_refused(arguments: tuple[str, ...], words: str) -> None:
    done = CliRunner().invoke(app, ["simulate", *FEW, *arguments])
    assert done.exit_code == 2
    assert words in done.output
