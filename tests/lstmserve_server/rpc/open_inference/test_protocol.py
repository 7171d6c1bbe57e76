"""Ours is the protocol: every name, number and type is the one that others have."""

from __future__ import annotations

from google.protobuf.descriptor import Descriptor

from lstmserve.open_inference import inference_service_pb2 as wire
from support import triton
from support.descriptions import describe_message

SERVICE = wire.DESCRIPTOR.services_by_name["GRPCInferenceService"]


def all_messages() -> list[Descriptor]:
    found = [*wire.DESCRIPTOR.message_types_by_name.values()]
    for message in found:
        found += message.nested_types
    return found


def test_messages_and_methods_are_those_of_a_client_that_is_not_ours() -> None:
    names = [message.full_name for message in all_messages()]
    (theirs,) = triton.call("", "describe", [{"name": name} for name in names])
    assert theirs["service"] == SERVICE.full_name
    for method in SERVICE.methods:
        assert theirs["methods"][method.name] == [
            method.input_type.full_name,
            method.output_type.full_name,
            method.client_streaming,
            method.server_streaming,
        ]
    ours = {message.full_name: describe_message(message) for message in all_messages()}
    assert ours == theirs["messages"]
