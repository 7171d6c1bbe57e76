"""The model card, as callers see it."""

from __future__ import annotations

from pathlib import Path

from benchmarks.testbed.server import ServerProcess
from lstmserve.v1 import model_service_pb2 as pb
from lstmserve.v1 import model_service_pb2_grpc
from lstmserve_client import Client
from support.stores import copy_version, edit_manifest

ModelStub = model_service_pb2_grpc.ModelServiceStub


def test_the_list_holds_every_served_version_with_its_card(models: ModelStub) -> None:
    (card,) = models.ListModels(pb.ListModelsRequest()).models
    assert (card.name, card.version, card.is_default) == ("tiny", "1", True)
    assert card.state == pb.MODEL_STATE_READY
    assert card.sizes.size_bytes > card.sizes.vocabulary > 0
    assert card.limits.max_tokens >= card.default_max_tokens > 0
    assert all(label.startswith("intent:") for label in card.labels)


def test_the_card_has_the_publisher_s_prompts(tiny_store: Path, tmp_path: Path) -> None:
    prompts = ["hello", "def f():\n    "]
    edit_manifest(copy_version(tiny_store / "tiny" / "1", tmp_path), example_prompts=prompts)
    with ServerProcess(tmp_path) as server, Client(server.target) as client:
        assert client.model().example_prompts == tuple(prompts)


def test_the_default_model_is_found_by_any_name_it_has(models: ModelStub) -> None:
    requests = (
        pb.GetModelRequest(),
        pb.GetModelRequest(name="tiny"),
        pb.GetModelRequest(name="tiny", version="1"),
        pb.GetModelRequest(version="1"),
    )
    cards = [models.GetModel(request).model for request in requests]
    assert all(card == cards[0] for card in cards)
