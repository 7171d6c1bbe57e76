"""A stock ``quantize_dynamic`` module is refused, or served by itself and marked as inexact."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest

from benchmarks.testbed.process import ProgramError
from benchmarks.testbed.server import ServerProcess
from lstmserve.v1 import cache_service_pb2 as cache_pb
from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1 import model_service_pb2 as model_pb
from lstmserve.v1.model_service_pb2_grpc import ModelServiceStub
from support.calls import connect, find_detail
from support.inexact import publish_stock
from support.served import Served, serve
from support.stores import copy_version
from support.whole_reply import to_unary
from support.wire_requests import make_request

NUM_REQUESTS = 6


@dataclass(frozen=True)
class Mixed:
    """A server of an exact model, ``tiny``, and an inexact one, ``stock``."""

    served: Served
    models: ModelServiceStub

    def card(self, name: str) -> model_pb.Model:
        return self.models.GetModel(model_pb.GetModelRequest(name=name)).model

    def started(self, request: pb.GenerateRequest) -> pb.Started:
        return self.served.generation.GenerateReply(to_unary(request)).started


@pytest.fixture(scope="module")
def mixed(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mixed]:
    store = tmp_path_factory.mktemp("store")
    copy_version(tiny_store / "tiny" / "1", store)
    publish_stock(copy_version(tiny_store / "tiny" / "1", store, "stock"))
    options = ("--allow-inexact", "--default-model", "tiny", "--page", "on")
    with serve(store, *options) as served, connect(served.process.target) as channel:
        yield Mixed(served, ModelServiceStub(channel))


def ask_stock(number: int = 0, **changes: object) -> pb.GenerateRequest:
    request = make_request(f"hello {number}", max_tokens=12, seed=number)
    request.model, request.model_version = "stock", "1"
    request.MergeFrom(pb.GenerateRequest(**changes))
    return request


def test_alone_in_its_store_it_keeps_the_server_from_starting(
    tiny_store: Path, tmp_path: Path
) -> None:
    publish_stock(copy_version(tiny_store / "tiny" / "1", tmp_path))
    said = r"not exact: a reply beside 63 others.*quantize_dynamic.*--allow-inexact"
    with pytest.raises(ProgramError, match=said), ServerProcess(tmp_path):
        pass


def test_it_is_marked_wherever_models_are_told_of(mixed: Mixed) -> None:
    assert mixed.card("stock").is_inexact
    assert "served inexact, one reply at a time: a reply beside" in mixed.card("stock").state_reason
    assert not mixed.card("tiny").is_inexact
    assert (mixed.card("tiny").state_reason, mixed.card("tiny").state) == (
        "",
        model_pb.MODEL_STATE_READY,
    )
    page = mixed.served.page()
    assert page.values("model_inexact", "model") == {("stock",): 1, ("tiny",): 0}
    assert page.values("max_running_sequences", "model") == {("stock",): 1, ("tiny",): 64}
    with urlopen(mixed.served.process.metrics_url.replace("/metrics", "/api/models")) as answer:
        listed = json.load(answer)["models"]
    assert {card["name"]: card.get("is_inexact", False) for card in listed} == {
        "stock": True,
        "tiny": False,
    }
    assert "served inexact" in mixed.served.process.read_log()


def test_its_replies_are_marked_and_neither_kept_nor_shared(mixed: Mixed) -> None:
    for _ in range(3):
        started = mixed.started(ask_stock())
        assert (started.is_inexact, started.cache) == (True, pb.CACHE_OUTCOME_BYPASS)
    with pytest.raises(grpc.RpcError) as caught:
        mixed.started(ask_stock(cache_mode=pb.CACHE_MODE_ONLY_IF_CACHED))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_its_replies_are_the_same_in_any_company_since_they_have_none(mixed: Mixed) -> None:
    requests = [ask_stock(number) for number in range(NUM_REQUESTS)]
    alone = [mixed.served.ask(request) for request in requests]
    with ThreadPoolExecutor(NUM_REQUESTS) as pool:
        together = [*pool.map(mixed.served.ask, requests)]
    assert together == alone


def test_what_needs_exactness_is_refused_by_its_name(mixed: Mixed) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        list(mixed.served.generation.Generate(ask_stock(resume_tokens=[1])))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    (violation,) = find_detail(caught.value, BadRequest).field_violations
    assert violation.field == "resume_tokens"
    assert "served inexact" in violation.description
    with pytest.raises(grpc.RpcError) as caught:
        mixed.served.cache.WarmCache(cache_pb.WarmCacheRequest(request=to_unary(ask_stock())))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    (violation,) = find_detail(caught.value, BadRequest).field_violations
    assert violation.field == "request.model_version"


def test_a_version_that_is_served_all_the_same_is_not_good(mixed: Mixed) -> None:
    with pytest.raises(grpc.RpcError, match="not exact") as caught:
        mixed.models.VerifyModel(model_pb.VerifyModelRequest(name="stock", version="1"))
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION


def test_an_exact_model_beside_it_is_served_as_ever(mixed: Mixed) -> None:
    outcomes = [mixed.served.ask(make_request(seed=1)).outcome for _ in range(3)]
    assert outcomes[-1] == pb.CACHE_OUTCOME_HIT
    assert not mixed.started(make_request(seed=1)).is_inexact
