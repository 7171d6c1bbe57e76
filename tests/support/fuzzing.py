"""Valid bytes, and what becomes of them when they are damaged."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from grpc_health.v1 import health_pb2
from h2.config import H2Configuration
from h2.connection import H2Connection
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from benchmarks.load.grpc_wire import frame_message
from lstmserve.v1 import (
    cache_service_pb2,
    generation_service_pb2,
    model_service_pb2,
    operations_service_pb2,
)
from support.wire_requests import each_field_changed, make_request

FILES = (
    cache_service_pb2,
    generation_service_pb2,
    model_service_pb2,
    operations_service_pb2,
    health_pb2,
)
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
INPUTS = {
    f"/{service.full_name}/{method.name}": method.input_type
    for file in FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
GENERATE = "/lstmserve.v1.GenerationService/Generate"
METHODS = (*INPUTS, REFLECTION)
BASE = make_request(max_tokens=2, seed=1, temperature=0.5)
"""Short, so that damage is what takes the time."""


def bounded(max_examples: int) -> settings:
    """So many examples, the same in every run."""
    return settings(
        max_examples=max_examples,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


@cache
def seed_messages(method: str) -> tuple[bytes, ...]:
    """Valid requests of a method, as bytes."""
    requests = {request.SerializeToString() for request in each_field_changed(BASE)}
    if method.rpartition("/")[2].startswith("Generate"):
        return tuple(sorted(requests))
    return (b"\x0a\x04tiny", b"\x0a\x04tiny\x12\x011", b"\x08\x01", b"\x3a\x01x", b"")


def http2_request() -> tuple[bytes, ...]:
    """All that a client sends for one call, from the preface on."""
    connection = H2Connection(H2Configuration(header_encoding="utf-8"))
    connection.initiate_connection()
    number = connection.get_next_available_stream_id()
    headers = [
        *((":method", "POST"), (":scheme", "http"), (":authority", "test")),
        (":path", GENERATE),
        *(("te", "trailers"), ("content-type", "application/grpc")),
    ]
    connection.send_headers(number, headers)
    data = frame_message(BASE.SerializeToString())
    connection.send_data(number, data, end_stream=True)
    return (connection.data_to_send(),)


@st.composite
def mutated(draw: st.DrawFn, valid: Sequence[bytes], max_changes: int = 3) -> bytes:
    """One of these with some spans of bytes replaced by others."""
    data = draw(st.sampled_from(valid))
    for _ in range(draw(st.integers(0, max_changes))):
        begin = draw(st.integers(0, len(data)))
        end = draw(st.integers(begin, min(len(data), begin + 8)))
        data = data[:begin] + draw(st.binary(max_size=8)) + data[end:]
    return data
