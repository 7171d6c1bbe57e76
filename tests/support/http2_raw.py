"""HTTP/2 as no client library would speak it."""

from __future__ import annotations

import socket
from collections.abc import Iterator

from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = SettingsFrame(0).serialize()
ACKNOWLEDGED = SettingsFrame(0, flags=["ACK"]).serialize()
READY = PREFACE + SETTINGS + ACKNOWLEDGED
PING = PingFrame(0, b"whoisit?").serialize()
HEAD_BYTES = 9  # of a frame
WAIT_SECONDS = 30.0
CANCEL = 8


def open_raw(target: str, sent: bytes = b"") -> socket.socket:
    """A connection over which this was sent."""
    host, port = target.rsplit(":", 1)
    connection = socket.create_connection((host, int(port)), WAIT_SECONDS)
    connection.sendall(sent)
    return connection


def read_frames(connection: socket.socket) -> Iterator[Frame]:
    """All that come until the other side hangs up; raises TimeoutError when it does not."""
    with connection.makefile("rb") as file:
        try:
            while len(head := file.read(HEAD_BYTES)) == HEAD_BYTES:
                frame, length = Frame.parse_frame_header(memoryview(head))
                frame.parse_body(memoryview(file.read(length)))
                yield frame
        except ConnectionResetError:  # it hung up on what was still on the way to it
            return


def farewell(target: str, sent: bytes) -> list[bytes]:
    """The reasons that a server gives before it hangs up on who sent this."""
    with open_raw(target, sent) as connection:
        frames = read_frames(connection)
        return [frame.additional_data for frame in frames if isinstance(frame, GoAwayFrame)]


class Requests:
    """Calls of one connection, as frames."""

    def __init__(self, path: str, more: tuple[tuple[str, str], ...] = ()) -> None:
        self._encoder = Encoder()
        self._headers = [
            *((":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "x")),
            *(("content-type", "application/grpc"), ("te", "trailers"), *more),
        ]
        self._number = -1

    def begin(self) -> bytes:
        """The headers of the next call."""
        self._number += 2
        block = self._encoder.encode(self._headers)
        return HeadersFrame(self._number, block, flags=["END_HEADERS"]).serialize()

    def begin_and_cancel(self) -> bytes:
        return self.begin() + RstStreamFrame(self._number, CANCEL).serialize()


def endless_headers(num_bytes: int) -> tuple[bytes, bytes]:
    """The beginning of headers, and a piece of them that may be sent for ever."""
    pair = b"\x00\x01a\x01b"  # a: b, not to be remembered
    more = ContinuationFrame(1, pair * (num_bytes // len(pair))).serialize()
    return HeadersFrame(1, pair).serialize(), more
