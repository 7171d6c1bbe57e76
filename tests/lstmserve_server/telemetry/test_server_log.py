"""The log of a real server: one JSON line per call, and never what people wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import grpc
import pytest

from benchmarks.testbed.server import ServerProcess
from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1.generation_service_pb2_grpc import GenerationServiceStub
from support.calls import LONG, connect, read_all
from support.metrics_page import scrape_until

SECRET = "Xyzzy-93-Plugh"


def call_with(request_id: str) -> dict[str, tuple[tuple[str, str], ...]]:
    return {"metadata": (("x-request-id", request_id),)}


@pytest.fixture(scope="module")
def log(tiny_store: Path) -> str:
    """The whole log of a server that answered, refused and lost callers with a secret."""
    with ServerProcess(tiny_store, "--log-level", "DEBUG") as server:
        with connect(server.target, narrow=True) as channel:
            make_calls(GenerationServiceStub(channel))
        scrape_until(server.metrics_url, lambda page: page.total("requests_total") == 5)
        assert server.stop() == 0
        return server.read_log()


def make_calls(stub: GenerationServiceStub) -> None:
    prompt = f"my password is {SECRET}"
    stopping = pb.StoppingCriteria(stop_sequences=[SECRET])
    good = pb.GenerateRequest(prompt=prompt, stopping=stopping, sampling=pb.SamplingParams(seed=1))
    _, error = read_all(stub.Generate(good, **call_with("good")))
    assert error is None
    reply = stub.GenerateReply(pb.GenerateReplyRequest(prompt=prompt), **call_with("no id at all"))
    assert reply.started.request_id
    turns = [pb.Turn(role=pb.ROLE_USER, text=SECRET), pb.Turn(role=pb.ROLE_AGENT, text=SECRET)]
    bad = pb.GenerateReplyRequest(conversation=pb.Conversation(turns=turns))
    with pytest.raises(grpc.RpcError):
        stub.GenerateReply(bad, **call_with("bad"))
    with pytest.raises(grpc.RpcError):
        stub.GenerateReply(pb.GenerateReplyRequest(model="who", prompt=prompt), **call_with("who"))
    long = pb.GenerateRequest()
    long.CopyFrom(LONG)
    long.prompt = prompt
    cancelled = stub.Generate(long, **call_with("cancelled"))
    next(cancelled)
    cancelled.cancel()


def lines(log: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.splitlines()]


def test_every_line_is_json_with_a_time_and_a_level(log: str) -> None:
    assert all({"event", "level", "timestamp"} <= line.keys() for line in lines(log))


def test_a_call_has_one_line_with_its_id_and_how_it_ended(log: str) -> None:
    calls = [line for line in lines(log) if line["event"] == "rpc"]
    by_id = {line["request_id"]: line for line in calls}
    assert len(by_id) == len(calls) == 5
    codes = {name: by_id[name]["code"] for name in ("good", "bad", "who", "cancelled")}
    assert codes == {
        "good": "OK",
        "bad": "INVALID_ARGUMENT",
        "who": "NOT_FOUND",
        "cancelled": "CANCELLED",
    }
    good = by_id["good"]
    assert (good["rpc"], good["model"], good["version"]) == ("Generate", "tiny", "1")
    assert good["finish_reason"] in {"end_of_text", "max_tokens"}
    outcomes = {name: by_id[name]["outcome"] for name in codes}
    assert outcomes == {"good": "ok", "bad": "refused", "who": "refused", "cancelled": "cancelled"}
    assert "no id at all" not in log  # not an acceptable id, so the server chose one


def test_a_line_tells_where_the_time_went_and_how_much_was_done(log: str) -> None:
    by_id = {line["request_id"]: line for line in lines(log) if line["event"] == "rpc"}
    good = by_id["good"]
    assert min(good["prompt_tokens"], good["generated_tokens"]) > 0
    parts = [good[f"{name}_seconds"] for name in ("queue", "prefill", "decode")]
    assert 0 < good["time_to_first_token_seconds"] <= good["seconds"]
    assert 0 < sum(parts) <= good["seconds"]
    for name in ("bad", "who", "cancelled"):  # which are no complete replies
        assert "decode_seconds" not in by_id[name]


def test_a_line_for_people_says_what_is_known_and_first_how_it_ended(tiny_store: Path) -> None:
    with ServerProcess(tiny_store, "--log-format", "console") as server:
        with connect(server.target, narrow=True) as channel, pytest.raises(grpc.RpcError):
            GenerationServiceStub(channel).GenerateReply(
                pb.GenerateReplyRequest(model="who", prompt="hi"), **call_with("who")
            )
        assert server.stop() == 0
        (line,) = [each for each in server.read_log().splitlines() if "request_id=who" in each]
    assert "rpc=GenerateReply code=NOT_FOUND outcome=refused request_id=who" in line
    assert "error=MODEL_NOT_FOUND" in line
    assert "= " not in f"{line} "  # nothing that is empty
    assert "\x1b" not in line  # a file is no terminal


def test_what_people_write_and_read_is_not_in_the_log(log: str) -> None:
    for text in (SECRET, "password", "parcel", "order", "您"):
        assert text not in log
