"""Who may call what: nothing that is served is left out of the table."""

from __future__ import annotations

import pytest
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from lstmserve.open_inference import inference_service_pb2
from lstmserve.v1 import (
    cache_service_pb2,
    generation_service_pb2,
    model_service_pb2,
    operations_service_pb2,
)
from lstmserve_server.auth.principal import Principal, Scope
from lstmserve_server.errors import PermissionDeniedError
from lstmserve_server.rpc.permissions import NEEDS, Need, check_permission, is_open
from lstmserve_server.rpc.server import SERVICES

FILES = (
    cache_service_pb2,
    generation_service_pb2,
    inference_service_pb2,
    model_service_pb2,
    operations_service_pb2,
    health_pb2,
    reflection_pb2,
)
SERVED: list[ServiceDescriptor] = [
    service for file in FILES for service in file.DESCRIPTOR.services_by_name.values()
]
METHODS = {f"{one.full_name}/{method.name}" for one in SERVED for method in one.methods}
ADMIN = Principal("ops", frozenset({Scope.ADMIN}))
READER = Principal("shop", frozenset({Scope.GENERATE}))


def test_the_table_holds_every_method_that_is_served_and_no_other() -> None:
    assert {one.full_name for one in SERVED} >= set(SERVICES)
    assert NEEDS.keys() == METHODS


def test_only_generating_and_looking_at_models_is_for_those_who_generate() -> None:
    allowed = {method for method in METHODS if not is_open(f"/{method}") and may(READER, method)}
    assert allowed == {
        "lstmserve.v1.GenerationService/Generate",
        "lstmserve.v1.GenerationService/GenerateReply",
        "lstmserve.v1.GenerationService/Classify",
        "lstmserve.v1.ModelService/ListModels",
        "lstmserve.v1.ModelService/GetModel",
        "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        "inference.GRPCInferenceService/ModelInfer",
        "inference.GRPCInferenceService/ModelStreamInfer",
        "inference.GRPCInferenceService/ModelMetadata",
        "inference.GRPCInferenceService/ServerMetadata",
    }


def test_who_administers_does_not_generate() -> None:
    denied = {method for method in METHODS if not may(ADMIN, method)}
    assert denied == {
        "lstmserve.v1.GenerationService/Generate",
        "lstmserve.v1.GenerationService/GenerateReply",
        "lstmserve.v1.GenerationService/Classify",
        "inference.GRPCInferenceService/ModelInfer",
        "inference.GRPCInferenceService/ModelStreamInfer",
    }


def may(principal: Principal, method: str) -> bool:
    try:
        check_permission(principal, method)
    except PermissionDeniedError:
        return False
    return True


def test_health_alone_is_open_in_either_protocol() -> None:
    opened = {method for method in METHODS if is_open(f"/{method}")}
    assert opened == {method for method, need in NEEDS.items() if need is Need.NOTHING}
    assert {method for method in opened if not method.startswith("grpc.health.v1.Health/")} == {
        f"inference.GRPCInferenceService/{rpc}"
        for rpc in ("ServerLive", "ServerReady", "ModelReady")
    }


@pytest.mark.parametrize("method", ["lstmserve.v1.ModelService/Rename", "other.Service/Do", ""])
def test_what_is_not_in_the_table_is_for_nobody(method: str) -> None:
    both = Principal("all", frozenset(Scope))
    with pytest.raises(PermissionDeniedError, match="is denied"):
        check_permission(both, method)
    assert not is_open(f"/{method}")


def test_who_is_denied_is_told_the_scope() -> None:
    with pytest.raises(PermissionDeniedError, match="needs the scope 'admin', which 'shop'"):
        check_permission(READER, "lstmserve.v1.CacheService/PurgeCache")
