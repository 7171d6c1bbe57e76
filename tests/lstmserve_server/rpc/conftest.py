"""Stubs on the shared server."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest

from lstmserve.v1 import generation_service_pb2_grpc, model_service_pb2_grpc
from support.server_process import ServerProcess

GenerationStub = generation_service_pb2_grpc.GenerationServiceStub
ModelStub = model_service_pb2_grpc.ModelServiceStub


@pytest.fixture
def channel(server: ServerProcess) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.target) as opened:
        yield opened


@pytest.fixture
def generation(channel: grpc.Channel) -> GenerationStub:
    return generation_service_pb2_grpc.GenerationServiceStub(channel)


@pytest.fixture
def models(channel: grpc.Channel) -> ModelStub:
    return model_service_pb2_grpc.ModelServiceStub(channel)
