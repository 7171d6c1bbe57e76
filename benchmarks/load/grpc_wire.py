"""gRPC within HTTP/2: messages in the data of a stream, statuses (PROTOCOL-HTTP2.md of gRPC)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import unquote

import grpc
from h2.errors import ErrorCodes

from benchmarks.load.transport import Status

PREFIX_BYTES = 5  # one of flags, four of length
Headers = list[tuple[bytes, bytes]]

STATUS_NAMES = {str(code.value[0]).encode(): code.name for code in grpc.StatusCode}
# a stream that is reset has no trailers
RESET_NAMES: Mapping[int, str] = {
    ErrorCodes.REFUSED_STREAM: "UNAVAILABLE",
    ErrorCodes.CANCEL: "CANCELLED",
    ErrorCodes.ENHANCE_YOUR_CALM: "RESOURCE_EXHAUSTED",
    ErrorCodes.INADEQUATE_SECURITY: "PERMISSION_DENIED",
}
LOST = Status("UNAVAILABLE", "connection lost")


def frame_message(message: bytes) -> bytes:
    return b"\x00" + len(message).to_bytes(4, "big") + message


class MessageReader:
    """Puts the data of one stream together into messages."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def read(self, data: bytes) -> list[bytes]:
        if self._rest:
            data = self._rest + data
        messages, start = [], 0
        while len(data) - start >= PREFIX_BYTES:
            body = start + PREFIX_BYTES
            end = body + int.from_bytes(data[start + 1 : body], "big")
            if end > len(data):
                break
            messages.append(data[body:end])
            start = end
        self._rest = data[start:]
        return messages


def read_status(headers: Iterable[tuple[bytes, bytes]]) -> Status | None:
    """The status in headers or trailers; None where it is still to come."""
    found: Mapping[bytes, bytes] = dict(headers)
    if b"grpc-status" in found:
        name = STATUS_NAMES.get(found[b"grpc-status"], "UNKNOWN")
        return Status(name, unquote(found.get(b"grpc-message", b"").decode()))
    http = found.get(b":status", b"200").decode()
    return None if http == "200" else Status("UNAVAILABLE", f"HTTP status {http}")


def read_reset(error_code: int | None) -> Status:
    """The status of a stream that was reset."""
    return Status(RESET_NAMES.get(error_code or 0, "INTERNAL"), "stream reset")
