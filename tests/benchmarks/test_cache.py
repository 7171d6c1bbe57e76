"""What the caches bring, measured on real servers and a real Redis, in small."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from benchmarks.cache.caller import make_fresh_prompt, make_prompts
from benchmarks.cache.cli import run
from benchmarks.cache.popularity import ideal_hit_ratio
from benchmarks.load.findings import Finding, Target
from benchmarks.load.prompts import draw_ranks
from benchmarks.testbed.process import run_program
from lstmserve_bundle import Tokenizer

ROOT = Path(__file__).parents[2]
TOKENIZER = ROOT / "model_store" / "support-en" / "2" / "tokenizer.json"


@pytest.mark.benchmark
def test_all_parts_are_measured_on_servers_of_its_own(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks.cache", "--start", "--short"]
    done = run_program(
        [*command, "--json", str(figures)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(figures.read_text("utf-8"))
    assert found["command"].startswith("python -m benchmarks.cache --start --short")
    assert found["machine"]["cores"] > 0
    assert found["redis_server"]
    values = {one["what"]: one["value"] for findings in found["parts"].values() for one in findings}
    for what in values:
        assert what.split(",")[0] in done.stdout
    # what is so on any machine, however busy
    assert values["100 unary: generations, most of 1"] == 1
    assert values["100 streamed: generations, most of 1"] == 1
    assert values["failed RPCs"] == values["changed replies"] == 0
    assert values["cached in process, p50"] < values["generated, p50"]
    assert values["frozen, one by one before it opens, p50"] > values["frozen, breaker open, p50"]
    ideal = values["hit ratio, ideal of an infinite cache"]
    assert 0 < values["hit ratio, memory for 30 entries, threshold 1"] < ideal
    assert 0 < values["hit ratio, memory for everything, threshold 2"] < ideal
    assert values["unary, in process, 16 callers"] > 0
    for where in ("in process", "in Redis"):
        assert values[f"2,000 different: false admissions, {where}"] < 0.02
    assert values["reply of 1,000 bytes, filled 4 times"] < 1.3
    assert values["reply of 700 bytes in Redis"] > 700
    for way in ("fewest calls", "affinity", "affinity and a hot caller"):
        assert values[f"2 replicas, {way}: failed"] == 0
    assert values["2 replicas, affinity: hit ratio"] > values["2 replicas, fewest calls: hit ratio"]
    for where in ("in process and in Redis", "in Redis alone"):
        assert values[f"failed calls, {where}"] == values[f"changed replies, {where}"] == 0
    assert values["slots moved meanwhile"] > 0
    assert values["hit ratio during, in Redis alone"] < values["hit ratio after, in Redis alone"]
    for load in ("Zipf(1.0)", "one prompt has half"):
        lookups = "lookups in Redis per request"
        assert values[f"{load}, memory as it comes: {lookups}"] < 0.5
        assert values[f"{load}, in Redis alone: {lookups}"] > 0.5  # others join
    not_read = [values[f"turn {number}: prompt tokens not read"] for number in range(1, 7)]
    assert not_read[0] == 0
    assert not_read == sorted(set(not_read))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "give --start"),
        (("--start", "--only", "latency,luck"), "luck: not among latency"),
        (("--start", "--only", "stampede", "--server-arg=--no-such-flag"), "did not start"),
    ],
)
def test_a_command_that_makes_no_sense_is_refused(arguments: tuple[str, ...], words: str) -> None:
    app = typer.Typer()
    app.command()(run)
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert words in done.output


def test_the_ideal_is_all_but_the_first_requests_of_the_most_popular() -> None:
    asked = [7, 7, 7, 3, 3, 5]
    assert ideal_hit_ratio(asked, None) == 3 / 6
    assert ideal_hit_ratio(asked, 1) == 2 / 6
    assert ideal_hit_ratio(asked, None, threshold=2) == 1 / 6


@given(
    asked=st.lists(st.integers(0, 9), min_size=1),
    entries=st.integers(1, 12),
    threshold=st.integers(1, 4),
)
def test_no_cache_with_a_bound_answers_more_than_the_ideal(
    asked: list[int], entries: int, threshold: int
) -> None:
    # one that keeps what it has and takes no more; its threshold counts the first requests
    counts: Counter[int] = Counter()
    kept: set[int] = set()
    hits = 0
    for one in asked:
        hits += one in kept
        counts[one] += 1
        if counts[one] >= threshold and len(kept) < entries:
            kept.add(one)
    ideal = ideal_hit_ratio(asked, entries, threshold)
    assert hits / len(asked) <= ideal <= ideal_hit_ratio(asked, None)


def test_popularity_is_that_of_zipf_and_repeatable() -> None:
    ranks = draw_ranks(100, 1.0, 50_000, seed=1)
    assert ranks == draw_ranks(100, 1.0, 50_000, seed=1)
    counts = Counter(ranks)
    # 9,640 and 4,820 are expected of the first two; five standard deviations are below 470
    assert counts[0] / counts[1] == pytest.approx(2, rel=0.15)
    assert counts[0] / counts[9] == pytest.approx(10, rel=0.2)


def test_prompts_that_shall_differ_do_so_to_the_model() -> None:
    # whose tokenizer may take all numbers for the same
    tokenizer = Tokenizer.from_file(TOKENIZER)
    prompts = make_prompts(2000, seed=0) + [make_fresh_prompt() for _ in range(200)]
    assert len({tuple(tokenizer.encode(prompt)) for prompt in prompts}) == len(prompts)
    assert prompts[:2000] == make_prompts(2000, seed=0)


@pytest.mark.parametrize(
    ("target", "value", "is_met"),
    [(Target(0.7), 0.7, True), (Target(0.7), 0.71, False), (Target(5, is_least=True), 4, False)],
)
def test_a_figure_is_told_with_its_target(target: Target, value: float, is_met: bool) -> None:
    told = Finding("this", value, "ms", target).to_json()
    assert told["is_met"] is is_met
    assert told["target"] == str(target)
    assert "target" not in Finding("this", value).to_json()
