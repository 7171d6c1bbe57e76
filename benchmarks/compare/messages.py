"""The messages of other servers' protocols, with the fields that are used here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.message import Message

# message -> field -> (number, type); [] marks a repeated field
Fields = Mapping[str, tuple[int, str]]

TORCHSERVE: Mapping[str, Fields] = {
    # a map is a repeated entry on the wire
    "Input": {"key": (1, "string"), "value": (2, "bytes")},
    "PredictionsRequest": {"model_name": (1, "string"), "input": (3, "Input[]")},
    "PredictionResponse": {"prediction": (1, "bytes")},
}
TRITON: Mapping[str, Fields] = {
    "Tensor": {"name": (1, "string"), "datatype": (2, "string"), "shape": (3, "int64[]")},
    "ModelInferRequest": {
        "model_name": (1, "string"),
        "inputs": (5, "Tensor[]"),
        "raw_input_contents": (7, "bytes[]"),
    },
    "ModelInferResponse": {"raw_output_contents": (6, "bytes[]")},
    "ModelStreamInferResponse": {
        "error_message": (1, "string"),
        "infer_response": (2, "ModelInferResponse"),
    },
}


def make_message_classes(package: str, messages: Mapping[str, Fields]) -> dict[str, type[Message]]:
    """Classes of these messages, as protoc would generate them."""
    file = {
        "name": f"{package}.proto",
        "package": package,
        "syntax": "proto3",
        "message_type": [
            {"name": name, "field": [_describe(package, *item) for item in fields.items()]}
            for name, fields in messages.items()
        ],
    }
    pool = descriptor_pool.DescriptorPool()
    pool.Add(json_format.ParseDict(file, descriptor_pb2.FileDescriptorProto()))
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))
        for name in messages
    }


def _describe(package: str, name: str, field: tuple[int, str]) -> dict[str, Any]:
    number, kind = field
    kind, is_repeated = kind.removesuffix("[]"), kind.endswith("[]")
    label = "LABEL_REPEATED" if is_repeated else "LABEL_OPTIONAL"
    described: dict[str, Any] = {"name": name, "number": number, "label": label}
    if kind[0].isupper():
        return {**described, "type": "TYPE_MESSAGE", "type_name": f".{package}.{kind}"}
    return {**described, "type": f"TYPE_{kind.upper()}"}
