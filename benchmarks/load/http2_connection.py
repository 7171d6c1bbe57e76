"""One HTTP/2 connection of the light client: streams in, messages and statuses out."""

from __future__ import annotations

import asyncio
from collections import deque
from functools import lru_cache
from typing import cast
from urllib.parse import unquote

import grpc
import hpack

from benchmarks.load import frames
from benchmarks.load.frames import FrameType, Setting
from benchmarks.load.transport import OnMessage, Status

STATUS_NAMES = {str(code.value[0]).encode(): code.name for code in grpc.StatusCode}
# RST_STREAM without trailers, as gRPC maps it (PROTOCOL-HTTP2.md)
RESET_NAMES = {7: "UNAVAILABLE", 8: "CANCELLED", 11: "RESOURCE_EXHAUSTED", 12: "PERMISSION_DENIED"}
CANCEL = 8
REPLENISH_BYTES = 1 << 20
LOST = Status("UNAVAILABLE", "connection lost")


class _Stream:
    __slots__ = ("headers", "messages", "on_message", "status")

    def __init__(self, on_message: OnMessage, status: asyncio.Future[Status]) -> None:
        self.on_message = on_message
        self.status = status
        self.messages = frames.MessageReader()
        self.headers = b""


class Http2Connection(asyncio.Protocol):
    """Reads with windows as wide as they go, and tells the server to use no header table."""

    def __init__(self) -> None:
        self._streams: dict[int, _Stream] = {}
        self._next_stream = 1
        self._frames = frames.FrameReader()
        self._unacknowledged_bytes = 0
        self._send_window = frames.DEFAULT_WINDOW_BYTES
        self._unsent: deque[tuple[int, bytes, bytes]] = deque()
        self._going_away = False

    # --- the connection's owner ---

    @property
    def is_usable(self) -> bool:
        return not (self._going_away or self._transport.is_closing())

    async def stream(self, headers: bytes, message: bytes, on_message: OnMessage) -> Status:
        if len(message) + frames.MESSAGE_PREFIX_BYTES > frames.DEFAULT_WINDOW_BYTES:
            raise ValueError(f"request of {len(message)} bytes: this client sends at most 64 KiB")
        number = self._next_stream
        self._next_stream += 2
        status: asyncio.Future[Status] = asyncio.get_running_loop().create_future()
        self._streams[number] = _Stream(on_message, status)
        self._unsent.append((number, headers, message))
        self._send()
        try:
            return await status
        except asyncio.CancelledError:
            self._cancel(number)
            raise

    def close(self) -> None:
        self._transport.close()

    # --- asyncio ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        settings = {
            Setting.HEADER_TABLE_SIZE: 0,  # each header block can be read by itself
            Setting.ENABLE_PUSH: 0,
            Setting.INITIAL_WINDOW_SIZE: frames.MAX_WINDOW_BYTES,
        }
        widen = frames.MAX_WINDOW_BYTES - frames.DEFAULT_WINDOW_BYTES
        self._transport.write(
            frames.PREFACE
            + frames.make_settings(settings)
            + frames.make_number(FrameType.WINDOW_UPDATE, 0, widen)
        )

    def data_received(self, data: bytes) -> None:
        for kind, flags, number, payload in self._frames.read(data):
            if kind == FrameType.DATA:
                self._on_data(flags, number, payload)
            elif kind in {FrameType.HEADERS, FrameType.CONTINUATION}:
                self._on_headers(kind, flags, number, payload)
            else:
                self._on_control(kind, flags, number, payload)

    def connection_lost(self, _error: Exception | None) -> None:
        for number in [*self._streams]:
            self._end(number, LOST)

    # --- frames ---

    def _on_data(self, flags: int, number: int, payload: bytes) -> None:
        self._replenish(len(payload))
        stream = self._streams.get(number)
        if stream is None:
            return  # cancelled: what was under way still arrives
        if flags & frames.PADDED:
            payload = frames.strip_padding(FrameType.DATA, flags, payload)
        for message in stream.messages.read(payload):
            stream.on_message(message)

    def _on_headers(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        stream = self._streams.get(number)
        if stream is None:
            return
        stream.headers += frames.strip_padding(kind, flags, payload)
        if not flags & frames.END_HEADERS:
            return
        status, stream.headers = _read_status(stream.headers), b""
        if status is not None:
            self._end(number, status)

    def _on_control(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if kind == FrameType.SETTINGS and not flags & frames.ACK:
            self._transport.write(frames.make_frame(FrameType.SETTINGS, frames.ACK, 0, b""))
        elif kind == FrameType.PING and not flags & frames.ACK:
            self._transport.write(frames.make_frame(FrameType.PING, frames.ACK, 0, payload))
        elif kind == FrameType.WINDOW_UPDATE and number == 0:
            self._send_window += int.from_bytes(payload, "big")
            self._send()
        elif kind == FrameType.RST_STREAM:
            error = int.from_bytes(payload, "big")
            self._end(number, Status(RESET_NAMES.get(error, "INTERNAL"), f"reset by {error}"))
        elif kind == FrameType.GOAWAY:
            self._going_away = True
            last = int.from_bytes(payload[:4], "big")
            for refused in [open_ for open_ in self._streams if open_ > last]:
                self._end(refused, Status("UNAVAILABLE", "the server goes away"))

    def _send(self) -> None:
        """Send requests as far as the connection's window reaches."""
        while self._unsent:
            number, headers, message = self._unsent[0]
            size = len(message) + frames.MESSAGE_PREFIX_BYTES
            if size > self._send_window:
                return
            self._unsent.popleft()
            if number in self._streams:  # not cancelled meanwhile
                self._send_window -= size
                self._transport.write(frames.make_request(number, headers, message))

    def _replenish(self, size: int) -> None:
        self._unacknowledged_bytes += size
        if self._unacknowledged_bytes >= REPLENISH_BYTES:
            self._transport.write(
                frames.make_number(FrameType.WINDOW_UPDATE, 0, self._unacknowledged_bytes)
            )
            self._unacknowledged_bytes = 0

    def _cancel(self, number: int) -> None:
        if self._streams.pop(number, None) and not self._transport.is_closing():
            self._transport.write(frames.make_number(FrameType.RST_STREAM, number, CANCEL))

    def _end(self, number: int, status: Status) -> None:
        stream = self._streams.pop(number, None)
        if stream is not None and not stream.status.done():
            stream.status.set_result(status)


@lru_cache(maxsize=1024)  # nearly all header blocks are alike, and hpack is pure Python
def _read_status(block: bytes) -> Status | None:
    """The status in a block of headers or trailers; None where it is not the last one."""
    decoder = hpack.Decoder()
    decoder.header_table_size = 0  # what the settings asked for
    found = dict(decoder.decode(block, raw=True))
    if b"grpc-status" in found:
        name = STATUS_NAMES.get(found[b"grpc-status"], "UNKNOWN")
        return Status(name, unquote(found.get(b"grpc-message", b"").decode()))
    http = found.get(b":status", b"200").decode()
    return None if http == "200" else Status("UNAVAILABLE", f"HTTP status {http}")
