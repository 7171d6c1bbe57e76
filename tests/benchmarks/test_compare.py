"""The comparison: those that run in our environment run here; the others' wire is checked."""

from __future__ import annotations

import asyncio
import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from pydantic import TypeAdapter
from typer.testing import CliRunner

from benchmarks.compare.cli import run
from benchmarks.compare.contestants import CONTESTANTS, start_contestant
from benchmarks.compare.dialects import TorchServeDialect, TritonDialect
from benchmarks.compare.environments import UnavailableError, prepare_environment
from benchmarks.compare.servers.free_port import find_free_ports
from benchmarks.compare.table import Result, combine, describe_source, to_markdown
from benchmarks.load.dialect import Dialect
from benchmarks.load.driver import Closed
from benchmarks.load.figures import Percentiles, compute_figures
from benchmarks.load.http2_transport import Http2Transport
from benchmarks.load.measure import Measurement
from benchmarks.load.recording import Recording, Window
from benchmarks.load.usage import ServerUsage
from benchmarks.load.workload import Ask, Lengths, SamplingOptions

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
ASK = Ask("where is it?", SamplingOptions(temperature=1.0), seed=1, min_tokens=7, max_tokens=7)
BY_NAME = {contestant.name: contestant for contestant in CONTESTANTS}


@pytest.mark.benchmark
@pytest.mark.parametrize("name", ["tutorial", "expert"])
async def test_servers_of_our_environment_stream_what_is_asked(name: str, tmp_path: Path) -> None:
    contestant = BY_NAME[name]
    with start_contestant(contestant, tmp_path, ()) as server:
        transport = Http2Transport(server.target, 1, 30.0)
        received: list[list[bytes]] = [[] for _ in range(12)]
        statuses = await asyncio.gather(
            *(
                transport.stream(
                    contestant.dialect.path, contestant.dialect.encode(ASK), messages.append
                )
                for messages in received
            )
        )
        await transport.close()
    assert {status.code for status in statuses} == {"OK"}
    for messages in received:
        assert [contestant.dialect.count_tokens(one) for one in messages] == [1] * 7 + [0]
        assert contestant.dialect.is_complete(messages[-1])


def test_torchserve_is_asked_and_read_in_its_own_messages() -> None:
    dialect = TorchServeDialect()
    # field 1: the model's name; field 3: one entry of a map
    assert dialect.encode(ASK).startswith(b"\x0a\x05stock\x1a")
    assert b'"max_tokens": 7' in dialect.encode(ASK)
    assert dialect.count_tokens(b"\x0a\x03abc") == 1
    assert dialect.count_tokens(b"") == 0


def test_triton_is_asked_and_read_in_its_own_messages() -> None:
    dialect = TritonDialect()
    request = dialect.encode(ASK)
    assert request.startswith(b"\x0a\x05stock")
    assert b"\x0c\x00\x00\x00where is it?" in request  # a string tensor: length, bytes
    assert dialect.count_tokens(b"\x12\x06\x32\x04\x01\x00\x00\x00") == 1
    assert not dialect.is_complete(b"\x0a\x03bad")


@pytest.mark.parametrize("dialect", [TorchServeDialect(), TritonDialect()])
def test_dialects_travel_to_the_generators_processes(dialect: Dialect) -> None:
    assert pickle.loads(pickle.dumps(dialect)).encode(ASK) == dialect.encode(ASK)


def test_what_cannot_be_installed_is_said_and_not_made_up(tmp_path: Path) -> None:
    occupied = tmp_path / "a-file"
    occupied.touch()
    with pytest.raises(UnavailableError, match="venv"):
        prepare_environment(occupied, "torchserve", ["torchserve"])


def test_the_table_names_what_was_not_measured() -> None:
    figures = compute_figures(Recording(), Window(0.0, 1.0))
    measurement = Measurement(Closed(8), figures, 0.25, ServerUsage(2**20, 2**21, 0.5))
    results = [
        Result("ours", "this project", {"torch": "2.13.0"}, {Lengths.EQUAL: [measurement]}),
        Result("theirs", "another", unavailable="no wheel for this Python"),
    ]
    table = to_markdown(results, [Lengths.EQUAL])
    assert "Column 8 is tokens/s with so many streams." in table
    assert "| equal lengths | 8 | first token, ms |" in table
    assert "| ours | 0 |" in table
    assert "| theirs |" not in table
    assert "- **theirs**: another; not measured: no wheel for this Python" in table


def measured(tokens_per_second: float, first_token_seconds: float) -> Measurement:
    figures = compute_figures(Recording(), Window(0.0, 1.0))
    waits = Percentiles(*[1e3 * first_token_seconds] * 4)
    figures = replace(figures, tokens_per_second=tokens_per_second, first_token_ms=waits)
    return Measurement(Closed(8), figures, 0.25, ServerUsage(2**20, 2**21, 0.5))


def test_of_several_rounds_the_median_is_told_with_its_ratio_to_the_best_other() -> None:
    speeds = {"ours": (300.0, 100.0, 200.0), "good": (100.0, 90.0, 110.0), "bad": (1.0, 2.0, 3.0)}
    results = [
        combine([Result(name, name, {}, {Lengths.EQUAL: [measured(n, 1 / n)]}) for n in rounds])
        for name, rounds in speeds.items()
    ]
    table = " ".join(to_markdown(results, [Lengths.EQUAL]).split())
    assert "| ours | 200 |" in table
    assert "8: 2.00 (100 to 300 tokens/s), 0.50." in table


def test_a_round_that_failed_is_no_median() -> None:
    good = Result("ours", "", {}, {Lengths.EQUAL: [measured(1.0, 1.0)]})
    assert combine([good, Result("ours", "", unavailable="died")]).unavailable == "died"


def test_the_page_is_written_in_the_form_of_the_one_that_is_kept() -> None:
    kept = json.loads((RESULTS / "compare.json").read_text("utf-8"))
    kinds = [Lengths(kind) for kind in kept["lengths"]]
    results = TypeAdapter(list[Result]).validate_python(kept["servers"])
    page = f"{to_markdown(results, kinds)}\n{describe_source(kept)}"
    assert page == (RESULTS / "compare.md").read_text("utf-8")


def test_an_unknown_server_is_refused() -> None:
    app = typer.Typer()
    app.command()(run)
    done = CliRunner().invoke(app, ["--only", "ours"])
    assert done.exit_code == 2
    assert "ours: not among lstmserve" in done.output


def test_free_ports_are_different() -> None:
    assert len(set(find_free_ports(5))) == 5
