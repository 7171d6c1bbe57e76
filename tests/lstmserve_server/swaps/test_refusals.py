"""What operators ask for in vain: every wrong field by its name, and nothing is changed."""

from __future__ import annotations

from collections.abc import Callable

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ResourceInfo

from lstmserve.v1 import model_service_pb2 as pb
from lstmserve.v1.model_service_pb2_grpc import ModelServiceStub
from support.calls import find_detail
from support.live_server import LiveServer

Call = Callable[[ModelServiceStub], Message]


def split(*weights: tuple[str, int], name: str = "tiny") -> Call:
    parts = [pb.VersionWeight(version=version, weight=weight) for version, weight in weights]
    request = pb.SetTrafficSplitRequest(name=name, weights=parts)
    return lambda models: models.SetTrafficSplit(request)


def calls_on(name: str, version: str) -> tuple[Call, ...]:
    return (
        lambda models: models.LoadModel(pb.LoadModelRequest(name=name, version=version)),
        lambda models: models.UnloadModel(pb.UnloadModelRequest(name=name, version=version)),
        lambda models: models.VerifyModel(pb.VerifyModelRequest(name=name, version=version)),
        lambda models: models.SetDefaultModel(
            pb.SetDefaultModelRequest(name=name, version=version)
        ),
    )


INVALID: tuple[tuple[Call, list[str]], ...] = (
    *((call, ["name"]) for call in calls_on("", "1")),
    *((call, ["version"]) for call in calls_on("tiny", "latest")),
    *((call, ["version"]) for call in calls_on("tiny", "01")),
    *((call, ["version"]) for call in calls_on("tiny", "")[:3]),
    (split(("1", 1), name=""), ["name"]),
    (split(("1", 1), ("two", 1)), ["weights[1].version"]),
    (split(("1", 1), ("1", 1)), ["weights[1].version"]),
    (split(("1", 0), ("2", 0)), ["weights"]),
    (split(("1", 10_001)), ["weights"]),
)
UNKNOWN: tuple[tuple[Call, str], ...] = (
    *((call, "tiny/7") for call in calls_on("tiny", "7")),
    *((call, "nobody/1") for call in calls_on("nobody", "1")),
    (split(("1", 1), ("7", 1)), "tiny/7"),
    (split(("7", 0), ("1", 1)), "tiny/7"),
    (split(name="nobody"), "nobody"),
    (calls_on("nobody", "")[-1], "nobody"),
)


@pytest.mark.parametrize(("call", "fields"), INVALID)
def test_a_wrong_field_is_named(both: LiveServer, call: Call, fields: list[str]) -> None:
    before = both.cards()
    with pytest.raises(grpc.RpcError) as refused:
        call(both.models)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    violations = find_detail(refused.value, BadRequest).field_violations
    assert [violation.field for violation in violations] == fields
    assert both.cards() == before


@pytest.mark.parametrize(("call", "resource"), UNKNOWN)
def test_what_the_store_does_not_hold_is_named(both: LiveServer, call: Call, resource: str) -> None:
    before = both.cards()
    with pytest.raises(grpc.RpcError) as refused:
        call(both.models)
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    assert find_detail(refused.value, ResourceInfo).resource_name == resource
    assert both.cards() == before
