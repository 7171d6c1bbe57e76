"""Servers under streams while faults, swaps or nothing happens, and what is made of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks.endurance.callers import Callers, Silence
from benchmarks.endurance.faults import Fault, FaultKind
from benchmarks.endurance.growth import Sample, compute_growth
from benchmarks.endurance.replies import Question, bits_of
from benchmarks.endurance.report import silences_by_kind
from benchmarks.endurance.swaps import GrowingStore
from benchmarks.testbed.process import run_program
from benchmarks.testbed.waiting import until_so
from lstmserve_bundle import open_bundle
from lstmserve_client import RetryPolicy, UnavailableError
from lstmserve_client.testing import FakeReply, FakeService

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.endurance", *arguments]
    return run_program(command, cwd=ROOT, capture_output=True, text=True, check=False)


def run_well(figures: Path, *arguments: str) -> tuple[str, dict[str, Any]]:
    """Return what it prints, and the figures that it keeps."""
    done = run(*arguments, "--json", str(figures))
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(figures.read_text("utf-8"))
    assert found["command"].startswith(f"python -m benchmarks.endurance {arguments[0]} ")
    return done.stdout, found


@pytest.mark.parametrize("unary_share", [0.0, 1.0])
async def test_callers_count_what_differs_and_what_is_lost(unary_share: float) -> None:
    service = FakeService({"hi": FakeReply("one two three", tokens_per_chunk=1)})
    expected = bits_of(service.client().reply("hi"))
    client = service.async_client(retry=RetryPolicy(max_attempts=1))
    callers = Callers(client, [Question("hi", {}, expected)], 3, unary_share=unary_share)
    heard = callers.heard
    async with callers.asking():
        await until_so(lambda: heard.replies >= 9, "replies")
        assert (heard.changed, heard.lost) == (0, {})
        service.fail_next(UnavailableError("gone"), times=2)
        await until_so(lambda: heard.lost.total() == 2, "replies that are lost")
        service.reply_to("hi", "one two four")
        await until_so(lambda: heard.changed >= 3, "replies that differ")
    assert heard.lost == Counter(UnavailableError=2)
    assert heard.tokens == 3 * heard.replies
    assert heard.versions == {"1"}
    assert len(heard.silences) == heard.streamed == (0 if unary_share else heard.replies)


def test_a_silence_belongs_to_what_happened_during_it() -> None:
    faults = [Fault(FaultKind.KILL, 1.0, 2.0), Fault(FaultKind.FREEZE, 5.0, 9.0)]
    silences = [Silence(0.5, 0.9), Silence(1.5, 2.5), Silence(0.9, 1.1), Silence(1.9, 5.1)]
    found = silences_by_kind(silences, faults)
    assert found["nothing"].max == pytest.approx(400)
    assert (found["kill"].p50, found["kill"].max) == pytest.approx((600, 1000))
    assert found["freeze"].max == pytest.approx(3200)


def test_growth_is_that_after_the_beginning() -> None:
    # what a server takes once for its buffers is no leak; 5 bytes per request are one
    samples = [Sample(0, 1_000), Sample(100, 50_000)]
    samples += [Sample(count, 90_000 + 5 * count) for count in range(200, 1001, 100)]
    growth = compute_growth(samples)
    assert growth.bytes_per_request == pytest.approx(5)
    assert growth.settled_bytes == 91_000
    assert growth.last_bytes == 95_000


def test_too_few_samples_give_no_growth() -> None:
    with pytest.raises(ValueError, match="too few"):
        compute_growth([Sample(0, 1), Sample(10, 1)])


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


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("chaos", "--faults", "flood"), "flood"),
        (("chaos", "--faults", "redis"), "--redis"),
        (("soak",), "either --target or --start"),
        (("soak", "--target", "127.0.0.1:1"), "give its metrics page"),
    ],
)
def test_what_cannot_be_is_refused(arguments: tuple[str, ...], said: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.benchmark
@pytest.mark.timeout(300)  # a whole benchmark
def test_replies_are_compared_while_replicas_and_redis_come_and_go(
    tiny_store: Path, tmp_path: Path
) -> None:
    said, found = run_well(
        tmp_path / "figures.json",
        *("chaos", "--streams", "8", "--max-tokens", "64", "--seconds", "10"),
        *("--faults", "kill,redis", "--redis", f"--server-arg=--model-store={tiny_store}"),
    )
    assert "0 lost" in said
    assert found["replies"] > 0
    assert (found["lost"], found["changed"]) == ({}, 0)
    assert sum(found["faults"].values()) > 0


@pytest.mark.benchmark
def test_replies_are_compared_while_versions_come_and_go(tiny_store: Path, tmp_path: Path) -> None:
    said, found = run_well(
        tmp_path / "figures.json",
        *("swaps", "--swaps", "4", "--quiet-seconds", "0.1"),
        *("--source", str(tiny_store / "tiny" / "1")),
    )
    assert "0 failed" in said
    assert found["versions"] == 5
    assert found["replies"] > 0
    assert (found["failed"], found["different"]) == ({}, 0)
    assert len(found["swap_seconds"]) == 4


@pytest.mark.benchmark
def test_memory_is_watched_on_a_real_server(tmp_path: Path) -> None:
    said, found = run_well(
        tmp_path / "figures.json",
        *("soak", "--start", "--requests", "80", "--streams", "8", "--waiting", "30"),
        "--server-arg=--max-running=2",
    )
    assert "bytes per request" in said
    assert "KB per waiting stream" in said
    assert found["requests"]["codes"] == {"OK": 80}
    assert found["requests"]["samples"][-1]["requests"] == 80
    assert 20 <= found["waiting"]["waiting"] <= 30


@pytest.mark.benchmark
def test_a_queue_that_is_too_short_is_told() -> None:
    queue = ("--server-arg=--max-running=1", "--server-arg=--max-waiting=5")
    done = run("soak", "--start", "--requests", "0", "--waiting", "40", *queue)
    assert done.returncode == 2
    assert "RESOURCE_EXHAUSTED" in done.stderr
