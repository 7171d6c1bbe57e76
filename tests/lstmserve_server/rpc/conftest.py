"""Stubs on the shared server, and on two that are not alike."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from benchmarks.testbed.server import ServerProcess
from lstmserve.v1 import generation_service_pb2_grpc, model_service_pb2_grpc

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


@pytest.fixture(scope="session")
def two_servers(tiny_store: Path) -> Iterator[tuple[GenerationStub, GenerationStub]]:
    """Two servers of the same model; the first sends every token in a message of its own."""
    with (
        ServerProcess(tiny_store, "--quantum-steps", "1", "--prefill-piece-tokens", "1") as one,
        ServerProcess(tiny_store, "--quantum-steps", "5", "--max-running", "3") as other,
        grpc.insecure_channel(one.target) as channel,
        grpc.insecure_channel(other.target) as other_channel,
    ):
        stub = generation_service_pb2_grpc.GenerationServiceStub
        yield stub(channel), stub(other_channel)
