"""Reads requests off the wire so that even broken bytes get an error with a field's name.

By default grpc answers bytes it cannot parse with INTERNAL and no reason. A text field
that is not UTF-8 is found by reading the message again with every string as bytes; an
``UnknownFieldSet`` takes ten times as long (docs/log.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import FieldDescriptor, FileDescriptor
from google.protobuf.message import DecodeError, Message

from lstmserve_server.errors import FieldViolation, InvalidRequestError

MAX_REQUEST_BYTES = 1 << 20
# texts and messages searched for one that is not UTF-8: half a million would take half a second
MAX_SEARCHED = 1024
MAX_KEY = 64  # characters of a map's key that an error tells

_FieldProto = descriptor_pb2.FieldDescriptorProto


@dataclass(frozen=True, slots=True)
class Malformed:
    """Stands for a request that could not be read."""

    violation: FieldViolation


Read = Callable[[bytes], Message | Malformed]


@cache
def reader_of(method: str) -> Read:
    """Of the requests of ``/service/method``."""
    name = method.removeprefix("/").replace("/", ".")
    found = descriptor_pool.Default().FindMethodByName(name)
    return make_reader(message_factory.GetMessageClass(found.input_type))


def make_reader(kind: type[Message]) -> Read:
    """A deserializer of one message type that never raises."""

    def read(data: bytes) -> Message | Malformed:
        try:
            return kind.FromString(data)
        except DecodeError:
            return Malformed(_find_violation(kind, data))

    return bounded(read, MAX_REQUEST_BYTES)


def bounded(read: Read, max_bytes: int) -> Read:
    """The same of no more bytes."""

    def read_bounded(data: bytes) -> Message | Malformed:
        if len(data) <= max_bytes:
            return read(data)
        reason = f"must have at most {max_bytes} bytes, not {len(data)}; send less"
        return Malformed(FieldViolation("request", reason))

    return read_bounded


def checked(request: Message | Malformed) -> Message:
    """The request; raises InvalidRequestError when it could not be read."""
    if isinstance(request, Malformed):
        raise InvalidRequestError([request.violation])
    return request


def _find_violation(kind: type[Message], data: bytes) -> FieldViolation:
    unreadable = FieldViolation("request", f"is not a valid {kind.DESCRIPTOR.full_name} message")
    try:
        message = _bytes_twin(kind.DESCRIPTOR.full_name).FromString(data)
    except DecodeError:
        return unreadable
    searched = islice(_texts_in(message, ""), MAX_SEARCHED)
    found = next((path for path, text in searched if not _is_utf8(text)), None)
    return FieldViolation(found, "must be valid UTF-8 text") if found else unreadable


def _texts_in(message: Message, prefix: str) -> Iterator[tuple[str, bytes]]:
    """Paths and bytes of all that was text, and of each message within, which count as empty."""
    for field, value in message.ListFields():
        path = f"{prefix}{field.name}"
        if _was_text(field):
            yield from ((path, item) for item in (value if field.is_repeated else [value]))
        elif _was_map(field):
            for entry in value:
                yield from _texts_in_entry(entry, path)
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            for place, item in _messages_in(field, value, path):
                yield place, b""
                yield from _texts_in(item, f"{place}.")


def _texts_in_entry(
    entry: Any,  # noqa: ANN401 - of a map whose keys were texts
    path: str,
) -> Iterator[tuple[str, bytes]]:
    """Of a map's entry, which is called by its key."""
    place = f"{path}[{entry.key.decode(errors='replace')[:MAX_KEY]}]"
    yield place, entry.key
    if isinstance(entry.value, bytes):
        yield place, entry.value
    elif isinstance(entry.value, Message):
        yield place, b""
        yield from _texts_in(entry.value, f"{place}.")


def _was_map(twin: FieldDescriptor) -> bool:
    """Return whether a list of entries was a map of which the keys are texts."""
    if twin.type != FieldDescriptor.TYPE_MESSAGE or not twin.is_repeated or _is_map(twin):
        return False
    return _is_map(descriptor_pool.Default().FindFieldByName(twin.full_name))


def _was_text(twin: FieldDescriptor) -> bool:
    if twin.type != FieldDescriptor.TYPE_BYTES:
        return False
    source = descriptor_pool.Default().FindFieldByName(twin.full_name)
    return bool(source.type == FieldDescriptor.TYPE_STRING)


def _messages_in(
    field: FieldDescriptor,
    value: Any,  # noqa: ANN401 - a message, a list or a map of them
    path: str,
) -> Iterator[tuple[str, Message]]:
    """The messages that a field holds, with where each is."""
    if not field.is_repeated:
        yield path, value
    elif not _is_map(field):
        yield from ((f"{path}[{number}]", item) for number, item in enumerate(value))
    else:
        items = ((f"{path}[{key}]", item) for key, item in value.items())
        yield from ((place, item) for place, item in items if isinstance(item, Message))


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


@cache
def _bytes_twin(full_name: str) -> type[Message]:
    """The same message type with every string field declared as bytes."""
    source = descriptor_pool.Default().FindMessageTypeByName(full_name)
    twins = descriptor_pool.DescriptorPool()
    _add_twin(twins, source.file)
    return message_factory.GetMessageClass(twins.FindMessageTypeByName(full_name))


def _add_twin(twins: descriptor_pool.DescriptorPool, source: FileDescriptor) -> None:
    for needed in source.dependencies:
        _add_twin(twins, needed)
    file = descriptor_pb2.FileDescriptorProto()
    source.CopyToProto(file)
    for message in file.message_type:
        _strings_to_bytes(message)
    twins.Add(file)


def _strings_to_bytes(message: descriptor_pb2.DescriptorProto) -> None:
    for field in message.field:
        if field.type == _FieldProto.TYPE_STRING:
            field.type = _FieldProto.TYPE_BYTES
            message.options.ClearField("map_entry")  # keys of a map must not be bytes
    for nested in message.nested_type:
        _strings_to_bytes(nested)
