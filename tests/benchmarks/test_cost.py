"""What parts of the server cost, measured on real servers, with them and without."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks.cost import silent_server
from benchmarks.testbed.process import run_program
from benchmarks.testbed.server import ServerProcess
from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1.generation_service_pb2_grpc import GenerationServiceStub
from support.calls import connect
from support.metrics_page import MetricsPage

ROOT = Path(__file__).parents[2]


@pytest.mark.benchmark
def test_both_servers_answer_and_every_event_is_timed(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    short = ("--rounds", "2", "--streams", "2", "--seconds", "1", "--calls", "50")
    command = [sys.executable, "-m", "benchmarks.cost", "metrics", *short, "--json", str(figures)]
    done = run_program(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(figures.read_text("utf-8"))
    alone, compared = found["findings"].values()
    assert {"on_tokens", "on_decode", "on_call_end"} <= {each["what"] for each in alone}
    assert all(each["value"] > 0 for each in alone)
    assert [each["target"] for each in compared if "target" in each] == ["<= 1"] * 2
    for each in found["rounds"]["2 streams"]:
        for kind in ("counting", "silent"):
            assert each[kind]["figures"]["tokens_per_second"] > 0
            assert each[kind]["server"]["cpu_seconds"] > 0


def test_the_silent_server_answers_and_counts_nothing(tiny_store: Path) -> None:
    program = (str(silent_server.__file__),)
    with (
        ServerProcess(tiny_store, program=program) as server,
        connect(server.target) as channel,
    ):
        request = pb.GenerateReplyRequest(prompt="hello")
        assert GenerationServiceStub(channel).GenerateReply(request).token_ids
        page = MetricsPage(server.metrics_url)
        names = ("requests_total", "generated_tokens_total", "step_seconds_count")
        assert [page.total(name) for name in names] == [0, 0, 0]
        assert page.total("quality_window_tokens") == 0


@pytest.mark.benchmark
def test_rows_that_keep_forms_are_compared_with_plain_ones() -> None:
    command = [sys.executable, "-m", "benchmarks.cost", "constraints", "--seconds", "1"]
    done = run_program(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in ("ratio: one row keeps a form", "building one, p50", "building one, p99"):
        assert name in done.stdout


@pytest.mark.benchmark
def test_servers_that_know_callers_are_compared_with_one_that_does_not() -> None:
    short = ("--principals", "1,3", "--blocks", "2", "--calls", "5")
    command = [sys.executable, "-m", "benchmarks.cost", "auth", *short]
    done = run_program(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in ("nobody has to be known", "1 principals: ratio", "3 principals: more"):
        assert name in done.stdout
