"""A version that was rolled back: who asks for it is told, and it stays away until it is loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo, ResourceInfo

from lstmserve.v1 import generation_service_pb2 as generation_pb
from lstmserve.v1 import model_service_pb2 as pb
from support.calls import find_detail
from support.live_server import LiveServer

OLD, NEW = "1", "2"


@pytest.fixture(scope="module")
def live(both: LiveServer) -> Iterator[LiveServer]:
    """A server whose newest version was unloaded; in the end it is loaded again."""
    card = both.models.UnloadModel(pb.UnloadModelRequest(name="tiny", version=NEW)).model
    assert card.state in {pb.MODEL_STATE_UNLOADING, pb.MODEL_STATE_UNLOADED}
    assert not card.is_default
    both.until_state(int(NEW), pb.MODEL_STATE_UNLOADED)
    yield both
    card = both.models.LoadModel(pb.LoadModelRequest(name="tiny", version=NEW)).model
    assert (card.state, card.is_default) == (pb.MODEL_STATE_READY, True)
    assert both.answering() == int(NEW)


def refuse(call: Callable[[], object], code: grpc.StatusCode) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as refused:
        call()
    assert refused.value.code() is code
    return refused.value


def test_the_version_before_it_answers(live: LiveServer) -> None:
    assert live.answering() == live.answering(model="tiny") == int(OLD)


def test_a_reply_of_it_cannot_be_resumed_on_another(live: LiveServer) -> None:
    request = generation_pb.GenerateRequest(
        prompt="hello",
        model_version=NEW,
        resume_tokens=[9, 10],
        sampling=generation_pb.SamplingParams(seed=7),
    )
    error = refuse(
        lambda: list(live.served.generation.Generate(request)), grpc.StatusCode.NOT_FOUND
    )
    assert error.details() == "model 'tiny' version '2' is not served; served are: 1"
    assert find_detail(error, ResourceInfo).resource_name == "tiny/2"


def test_the_last_version_of_the_default_model_does_not_go_as_well(live: LiveServer) -> None:
    request = pb.UnloadModelRequest(name="tiny", version=OLD)
    error = refuse(lambda: live.models.UnloadModel(request), grpc.StatusCode.FAILED_PRECONDITION)
    assert find_detail(error, ErrorInfo).reason == "MODEL_NEEDED"
    assert live.answering() == int(OLD)


def test_it_gets_no_requests_before_it_is_loaded(live: LiveServer) -> None:
    weights = [pb.VersionWeight(version=version, weight=1) for version in (OLD, NEW)]
    calls: tuple[Callable[[], object], ...] = (
        lambda: live.models.SetDefaultModel(pb.SetDefaultModelRequest(name="tiny", version=NEW)),
        lambda: live.models.SetTrafficSplit(
            pb.SetTrafficSplitRequest(name="tiny", weights=weights)
        ),
    )
    for call in calls:
        error = refuse(call, grpc.StatusCode.FAILED_PRECONDITION)
        assert find_detail(error, ErrorInfo).reason == "MODEL_NEEDED"
        assert "load it first" in error.details()
    assert live.answering() == int(OLD)


def test_it_can_be_verified_and_serves_nothing_for_that(live: LiveServer) -> None:
    card = live.models.VerifyModel(pb.VerifyModelRequest(name="tiny", version=NEW)).model
    assert card.state == pb.MODEL_STATE_UNLOADED
    assert live.answering() == int(OLD)
