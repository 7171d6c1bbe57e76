"""A message type in plain values, for comparing it with one of another process."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import Descriptor


def describe_message(message: Descriptor) -> dict[str, list[Any]]:
    """By field: number, type, whether repeated, message type, oneof."""
    return {
        field.name: [
            field.number,
            field.type,
            field.is_repeated,
            field.message_type.full_name if field.message_type else "",
            field.containing_oneof.name if field.containing_oneof else "",
        ]
        for field in message.fields
    }
