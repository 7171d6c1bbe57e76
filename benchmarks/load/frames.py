"""The bytes of HTTP/2 (RFC 9113) that a gRPC client needs; no input or output here."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADER_BYTES = 9
MAX_FRAME_BYTES = 16_384
DEFAULT_WINDOW_BYTES = 65_535
MAX_WINDOW_BYTES = 2**31 - 1
MESSAGE_PREFIX_BYTES = 5

END_STREAM = 0x1
ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
PRIORITY = 0x20

_FRAME_HEADER = struct.Struct(">BHBBI")
_SETTING = struct.Struct(">HI")


class FrameType(IntEnum):
    DATA = 0
    HEADERS = 1
    RST_STREAM = 3
    SETTINGS = 4
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class Setting(IntEnum):
    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    INITIAL_WINDOW_SIZE = 4


def make_frame(kind: FrameType, flags: int, stream: int, payload: bytes) -> bytes:
    size = len(payload)
    return _FRAME_HEADER.pack(size >> 16, size & 0xFFFF, kind, flags, stream) + payload


def make_settings(settings: dict[Setting, int]) -> bytes:
    payload = b"".join(_SETTING.pack(name, value) for name, value in settings.items())
    return make_frame(FrameType.SETTINGS, 0, 0, payload)


def make_number(kind: FrameType, stream: int, number: int) -> bytes:
    """A frame whose payload is one number: WINDOW_UPDATE and RST_STREAM."""
    return make_frame(kind, 0, stream, number.to_bytes(4, "big"))


def make_request(stream: int, headers: bytes, message: bytes) -> bytes:
    """HEADERS and DATA of a request of one gRPC message, which ends the client's side."""
    framed = b"\x00" + len(message).to_bytes(4, "big") + message
    pieces = [make_frame(FrameType.HEADERS, END_HEADERS, stream, headers)]
    for start in range(0, len(framed), MAX_FRAME_BYTES):
        end = start + MAX_FRAME_BYTES
        flags = END_STREAM if end >= len(framed) else 0
        pieces.append(make_frame(FrameType.DATA, flags, stream, framed[start:end]))
    return b"".join(pieces)


class FrameReader:
    """Cuts what arrives into frames: (type, flags, stream, payload)."""

    def __init__(self) -> None:
        self._rest = b""

    def read(self, data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
        if self._rest:
            data = self._rest + data
        start, size, unpack = 0, len(data), _FRAME_HEADER.unpack_from
        while size - start >= HEADER_BYTES:
            high, low, kind, flags, stream = unpack(data, start)
            payload = start + HEADER_BYTES
            end = payload + (high << 16 | low)
            if end > size:
                break
            yield kind, flags, stream, data[payload:end]
            start = end
        self._rest = data[start:]


class MessageReader:
    """Puts the DATA of one stream together into gRPC messages."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def read(self, data: bytes) -> list[bytes]:
        if self._rest:
            data = self._rest + data
        messages, start = [], 0
        while len(data) - start >= MESSAGE_PREFIX_BYTES:
            body = start + MESSAGE_PREFIX_BYTES
            end = body + int.from_bytes(data[start + 1 : body], "big")
            if end > len(data):
                break
            messages.append(data[body:end])
            start = end
        self._rest = data[start:]
        return messages


def strip_padding(kind: int, flags: int, payload: bytes) -> bytes:
    """The content of DATA or HEADERS, without padding and without a priority."""
    if flags & PADDED:
        payload = payload[1 : len(payload) - payload[0]]
    if kind == FrameType.HEADERS and flags & PRIORITY:
        payload = payload[5:]
    return payload
