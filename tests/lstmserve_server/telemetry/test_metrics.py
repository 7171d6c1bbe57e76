"""What operators read: every number is what really happened."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from benchmarks.testbed.server import ServerProcess
from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1 import model_service_pb2
from lstmserve.v1.generation_service_pb2_grpc import GenerationServiceStub
from lstmserve.v1.model_service_pb2_grpc import ModelServiceStub
from support.calls import LONG, connect, read_all
from support.metrics_page import MetricsPage, read_exemplars, scrape_until

OPERATIONS = Path(__file__).parents[3] / "docs" / "operations.md"
MODEL = ("tiny", "1")
CALL_LABELS = ("rpc", "code", "outcome", "finish_reason", "cache")
NUM_CALLS = 11
STREAM_ID = "i" * 64  # no acceptable one is longer


@dataclass
class Done:
    """What the callers know of the calls they made."""

    page: MetricsPage
    prompt_tokens: int
    finished_tokens: int
    cancelled_tokens: int  # that reached the caller
    num_gaps: int  # between the chunks of the finished stream
    exemplars: dict[str, set[str]]  # request ids by histogram


@pytest.fixture(scope="module")
def done(tiny_store: Path) -> Iterator[Done]:
    """A server of its own after a few known calls."""
    with ServerProcess(tiny_store) as server, connect(server.target, narrow=True) as channel:
        yield make_calls(server, channel)


def make_calls(server: ServerProcess, channel: grpc.Channel) -> Done:
    stub, models = GenerationServiceStub(channel), ModelServiceStub(channel)
    ten = pb.StoppingCriteria(min_tokens=10, max_tokens=10)
    seeds = [pb.SamplingParams(seed=seed) for seed in range(3)]  # three different replies
    streamed, _ = read_all(
        stub.Generate(
            pb.GenerateRequest(prompt="hello", stopping=ten, sampling=seeds[0]),
            metadata=(("x-request-id", STREAM_ID),),
        )
    )
    whole = [
        stub.GenerateReply(pb.GenerateReplyRequest(prompt="hello", stopping=ten, sampling=seed))
        for seed in seeds[1:]
    ]
    models.GetModel(model_service_pb2.GetModelRequest())

    stale = pb.GenerateRequest(
        prompt="hi", model_version="1", resume_tokens=[1 << 30], sampling=pb.SamplingParams(seed=1)
    )
    for request in (pb.GenerateRequest(), stale):
        _, error = read_all(stub.Generate(request))
        assert error is not None
    for bad in (pb.GenerateReplyRequest(), pb.GenerateReplyRequest(model="who", prompt="hi")):
        with pytest.raises(grpc.RpcError):
            stub.GenerateReply(bad)
    with pytest.raises(grpc.RpcError):
        models.GetModel(model_service_pb2.GetModelRequest(version="99"))
    with pytest.raises(grpc.RpcError):
        models.LoadModel(model_service_pb2.LoadModelRequest())

    cancelled = stub.Generate(LONG)
    started, first = next(cancelled).started, next(cancelled)
    cancelled.cancel()

    page = scrape_until(
        server.metrics_url,
        lambda page: (
            page.total("requests_total") == NUM_CALLS
            and page.total("running_sequences") == 0
            # the page is made on a thread of its own, perhaps in the middle of counting
            and page.total("batch_rows_count") == page.total("step_seconds_count")
        ),
    )
    replies = [(event.started, event.completion) for event in (*streamed, *whole)]
    return Done(
        page,
        started.prompt_tokens + sum(started.prompt_tokens for started, _ in replies),
        sum(completion.usage.generated_tokens for _, completion in replies),
        len(first.chunk.token_ids),
        sum(event.HasField("chunk") for event in streamed) - 1,
        read_exemplars(server.metrics_url),
    )


def test_every_call_is_counted_once_with_how_it_ended(done: Done) -> None:
    found = done.page.counted("requests_total", *CALL_LABELS)
    assert found == {
        ("Generate", "OK", "ok", "max_tokens", "miss"): 1,
        ("Generate", "INVALID_ARGUMENT", "refused", "", ""): 1,
        ("Generate", "FAILED_PRECONDITION", "refused", "", ""): 1,
        ("Generate", "CANCELLED", "cancelled", "", "miss"): 1,
        ("GenerateReply", "OK", "ok", "max_tokens", "miss"): 2,
        ("GenerateReply", "INVALID_ARGUMENT", "refused", "", ""): 1,
        ("GenerateReply", "NOT_FOUND", "refused", "", ""): 1,
        ("GetModel", "OK", "ok", "", ""): 1,
        ("GetModel", "NOT_FOUND", "refused", "", ""): 1,
        ("LoadModel", "INVALID_ARGUMENT", "refused", "", ""): 1,
    }


def test_refusals_are_counted_by_reason(done: Done) -> None:
    found = done.page.values("rejected_total", "reason")
    assert found == {("invalid",): 3, ("not_found",): 2, ("resume_mismatch",): 1}


def test_tokens_are_counted_as_callers_count_them(done: Done) -> None:
    page = done.page
    prompts = page.values("prompt_tokens_total", "model", "version")
    assert prompts == {MODEL: done.prompt_tokens}
    ((labels, generated),) = page.values(
        "generated_tokens_total", "model", "version", "source"
    ).items()
    assert labels == (*MODEL, "model")
    assert done.finished_tokens == 30
    at_least = done.finished_tokens + done.cancelled_tokens
    assert at_least <= generated < at_least + LONG.stopping.max_tokens


def test_durations_are_observed_once_per_call_or_finished_reply(done: Done) -> None:
    calls = done.page.values("request_seconds_count", "rpc", "outcome")
    assert calls == {
        ("Generate", "ok"): 1,
        ("Generate", "refused"): 2,
        ("Generate", "cancelled"): 1,
        ("GenerateReply", "ok"): 2,
        ("GenerateReply", "refused"): 2,
        ("GetModel", "ok"): 1,
        ("GetModel", "refused"): 1,
        ("LoadModel", "refused"): 1,
    }
    for name in ("queue", "prefill"):
        replies = done.page.values(f"{name}_seconds_count", "model", "version")
        assert replies == {MODEL: 3}
    first = done.page.values("time_to_first_token_seconds_count", "model", "version", "rpc")
    assert first == {(*MODEL, "Generate"): 1, (*MODEL, "GenerateReply"): 2}


def test_gaps_are_those_between_the_messages_of_streams(done: Done) -> None:
    ((labels, gaps),) = done.page.values("inter_token_seconds_count", "model", "version").items()
    assert labels == MODEL
    # the one stream that ended, and one that was left after the first of 512 tokens at most
    assert 1 <= done.num_gaps <= gaps < done.num_gaps + LONG.stopping.max_tokens


def test_what_an_engine_may_hold_is_told_beside_what_it_holds(done: Done) -> None:
    page = done.page
    assert page.values("max_running_sequences", "model", "version") == {MODEL: 64}
    assert page.values("max_waiting_sequences", "model", "version") == {MODEL: 1024}


def test_buckets_lead_to_calls(done: Done) -> None:
    names = {f"lstmserve_{name}_seconds" for name in ("request", "time_to_first_token")}
    assert done.exemplars.keys() == names
    assert all(STREAM_ID in ids for ids in done.exemplars.values())


def test_decode_calls_are_observed_with_their_rows(done: Done) -> None:
    calls = done.page.values("batch_rows_count", "model", "version")
    assert calls == done.page.values("step_seconds_count", "model", "version")
    # one caller, one row: as many rows as calls
    assert done.page.values("batch_rows_sum", "model", "version") == calls


def test_histograms_of_seconds_begin_at_a_tenth_of_a_millisecond(done: Done) -> None:
    histograms = {name for name, kind in done.page.types.items() if kind == "histogram"}
    assert "lstmserve_step_seconds" in histograms
    other = {"batch_rows", "model_load_seconds", "classification_confidence"}
    for name in histograms - {f"lstmserve_{each}" for each in other}:
        bounds = done.page.values(f"{name.removeprefix('lstmserve_')}_bucket", "le")
        assert min(float(bound) for (bound,) in bounds) == 0.0001


def test_memory_is_that_of_this_server_and_its_model(done: Done, tiny_store: Path) -> None:
    page = done.page
    resident, peak = page.total("resident_memory_bytes"), page.total("peak_memory_bytes")
    # the kernel counts them apart, and rounds
    assert 50e6 < resident < 1.02 * peak
    version = tiny_store / "tiny" / "1"
    files = sum(path.stat().st_size for path in version.iterdir() if path.name != "manifest.json")
    assert page.values("model_bytes", "model", "version") == {MODEL: files}
    assert page.values("state_bytes", "model", "version")[MODEL] >= 4 * 64 * 64


def documented() -> dict[str, set[str]]:
    """Metrics and their labels as the operators' handbook lists them."""
    section = OPERATIONS.read_text(encoding="utf-8").split("## Metrics")[1].split("\n## ")[0]
    rows = [line.split("|")[1:3] for line in section.splitlines() if line.startswith("| `")]
    return {
        name: set(re.findall(r"\w+", labels))
        for names, labels in rows
        for name in re.findall(r"`(\w+)`", names)
    }


def test_the_page_holds_the_metrics_of_the_handbook_with_their_labels(done: Done) -> None:
    handbook = documented()
    counters = {name for name, kind in done.page.types.items() if kind == "counter"}
    exported = {
        name.removeprefix("lstmserve_") + ("_total" if name in counters else "")
        for name in done.page.types
    }
    assert exported == handbook.keys()
    for sample in done.page.samples:
        name = re.sub(r"_(bucket|count|sum)$", "", sample.name)
        assert sample.labels.keys() - {"le"} == handbook[name], sample
