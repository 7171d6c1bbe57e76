"""The load generator against a real server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from benchmarks.load.driver import Closed, Open
from benchmarks.load.measure import divide
from benchmarks.serve.cli import run
from benchmarks.testbed.process import run_program
from benchmarks.testbed.server import ServerProcess

ROOT = Path(__file__).parents[2]


def serve(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.serve", *arguments]
    return run_program(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.benchmark
@pytest.mark.parametrize(
    "load", [("--streams", "1,4"), ("--rate", "20,40", "--processes", "2", "--client", "grpc")]
)
def test_figures_are_printed_written_and_drawn(
    server: ServerProcess, tmp_path: Path, load: tuple[str, ...]
) -> None:
    figures, picture = tmp_path / "figures.json", tmp_path / "picture.svg"
    done = serve(
        *("--target", server.target, "--metrics-url", server.metrics_url, *load),
        *("--server-pid", str(server.process.pid), "--seconds", "2", "--warm-up", "0.5"),
        *("--max-tokens", "16", "--json", str(figures), "--plot", str(picture)),
    )
    assert done.returncode == 0, done.stderr
    assert "tokens/s" in done.stdout
    assert "whole reply" in done.stdout
    run = json.loads(figures.read_text("utf-8"))
    assert run["machine"]["cores"] > 0
    assert run["versions"]["grpcio"]
    assert len(run["measurements"]) == 2
    for measurement in run["measurements"]:
        assert measurement["figures"]["errors"] == {}
        assert measurement["figures"]["replies"] > 0
        assert measurement["figures"]["first_token_ms"]["p50"] > 0
        assert measurement["generator_cpu_seconds"] > 0
        assert measurement["server"]["cpu_seconds"] > 0
        assert measurement["server"]["peak_bytes"] >= measurement["server"]["resident_bytes"] > 0
    assert "<svg" in picture.read_text("utf-8")


@pytest.mark.benchmark
def test_failures_are_reported_by_code(server: ServerProcess) -> None:
    done = serve(
        *("--target", server.target, "--streams", "2", "--temperature", "9"),
        *("--seconds", "2", "--warm-up", "0"),
    )
    assert done.returncode == 0, done.stderr
    assert "INVALID_ARGUMENT" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "either --target or --start"),
        (("--target", "127.0.0.1:1", "--server-arg=--x"), "goes with --start"),
        (("--start", "--streams", "1", "--rate", "1"), "either --streams or --rate"),
        (("--start", "--streams", "one"), "numbers separated by commas"),
        (("--start", "--rate", "0"), "numbers above 0"),
        (("--start", "--server-arg=--no-such-flag", "--streams", "1"), "did not start"),
    ],
)
def test_a_command_that_makes_no_sense_is_refused(arguments: tuple[str, ...], words: str) -> None:
    app = typer.Typer()
    app.command()(run)
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert words in done.output


def test_processes_share_the_streams_and_the_rate() -> None:
    shares = divide(Closed(5), 2)
    assert sorted(number for _, numbers in shares for number in numbers) == [0, 1, 2, 3, 4]
    assert len(divide(Closed(1), 2)) == 1
    assert [load.rate for load, _ in divide(Open(30.0), 2) if isinstance(load, Open)] == [15, 15]
