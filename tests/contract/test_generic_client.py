"""A client that knows nothing of this project finds and calls the service."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from benchmarks.testbed.server import ServerProcess

SERVICES = {
    "grpc.health.v1.Health",
    "grpc.reflection.v1alpha.ServerReflection",
    "inference.GRPCInferenceService",
    "lstmserve.v1.CacheService",
    "lstmserve.v1.GenerationService",
    "lstmserve.v1.ModelService",
    "lstmserve.v1.OperationsService",
}


def test_the_service_is_found_by_reflection_and_called_from_its_description(
    server: ServerProcess,
) -> None:
    with grpc.insecure_channel(server.target) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        assert set(database.get_services()) == SERVICES
        service = DescriptorPool(database).FindServiceByName("lstmserve.v1.GenerationService")
        method = service.methods_by_name["Generate"]
        request = ParseDict({"prompt": "hello"}, GetMessageClass(method.input_type)())
        call = channel.unary_stream(
            f"/{service.full_name}/{method.name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        events = [MessageToDict(event) for event in call(request)]
    assert next(iter(events[0])) == "started"
    assert next(iter(events[-1])) == "completion"


@pytest.mark.parametrize("service", ["", *sorted(s for s in SERVICES if not s.startswith("grpc."))])
def test_health_is_told_per_service(server: ServerProcess, service: str) -> None:
    with grpc.insecure_channel(server.target) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        answer = health.Check(health_pb2.HealthCheckRequest(service=service))
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
