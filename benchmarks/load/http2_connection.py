"""One connection of the light client: gRPC streams over ``h2`` and asyncio."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

from benchmarks.load.grpc_wire import (
    LOST,
    Headers,
    MessageReader,
    frame_message,
    read_reset,
    read_status,
)
from benchmarks.load.transport import OnMessage, Status

MAX_WINDOW_BYTES = 2**31 - 1
DEFAULT_WINDOW_BYTES = 65_535
REPLENISH_BYTES = 1 << 20
# our own headers are right, and checking those of others costs as much as reading them
UNCHECKED = H2Configuration(
    header_encoding=None,
    validate_inbound_headers=False,
    validate_outbound_headers=False,
    normalize_outbound_headers=False,
)


class _Stream:
    __slots__ = ("messages", "number", "on_message", "status")

    def __init__(self, on_message: OnMessage, status: asyncio.Future[Status]) -> None:
        self.on_message = on_message
        self.status = status
        self.messages = MessageReader()
        self.number = 0  # until it is sent


class Http2Connection(asyncio.Protocol):
    """Flow control is set as wide as it goes: this client reads whatever comes."""

    def __init__(self) -> None:
        self._h2 = H2Connection(UNCHECKED)
        self._h2.local_settings = Settings(
            client=True,
            initial_values={
                SettingCodes.ENABLE_PUSH: 0,
                SettingCodes.INITIAL_WINDOW_SIZE: MAX_WINDOW_BYTES,
            },
        )
        self._streams: dict[int, _Stream] = {}
        self._unsent: deque[tuple[_Stream, Headers, bytes]] = deque()
        self._unacknowledged_bytes = 0
        self._is_going_away = False

    # --- the connection's owner ---

    @property
    def is_usable(self) -> bool:
        return not (self._is_going_away or self._transport.is_closing())

    async def stream(self, headers: Headers, message: bytes, on_message: OnMessage) -> Status:
        framed = frame_message(message)
        if len(framed) > DEFAULT_WINDOW_BYTES:
            raise ValueError(f"request of {len(message)} bytes: this client sends at most 64 KiB")
        stream = _Stream(on_message, asyncio.get_running_loop().create_future())
        self._unsent.append((stream, headers, framed))
        self._send_requests()
        try:
            return await stream.status
        except asyncio.CancelledError:
            self._reset(stream)
            raise

    def close(self) -> None:
        self._transport.close()

    # --- asyncio ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(MAX_WINDOW_BYTES - DEFAULT_WINDOW_BYTES)
        self._flush()

    def data_received(self, data: bytes) -> None:
        try:
            events = self._h2.receive_data(data)
        except ProtocolError:
            self._transport.abort()
            return
        for event in events:
            if type(event) is DataReceived:  # nearly all of them
                self._on_data(event)
            else:
                self._on_event(event)
        self._send_requests()  # there may be room now; sends acknowledgements as well

    def connection_lost(self, _error: Exception | None) -> None:
        waiting = [stream for stream, _, _ in self._unsent]
        for stream in (*self._streams.values(), *waiting):
            _end(stream, LOST)
        self._streams.clear()
        self._unsent.clear()

    # --- events ---

    def _on_data(self, event: DataReceived) -> None:
        self._replenish(event.flow_controlled_length)
        stream = self._streams.get(event.stream_id)
        if stream is not None:  # what was under way when it was cancelled still arrives
            for message in stream.messages.read(event.data):
                stream.on_message(message)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, ResponseReceived | TrailersReceived):
            status = read_status(event.headers)
            if status is not None:
                _end(self._streams.pop(event.stream_id, None), status)
        elif isinstance(event, StreamReset):
            _end(self._streams.pop(event.stream_id, None), read_reset(event.error_code))
        elif isinstance(event, ConnectionTerminated):
            self._is_going_away = True
            for number in [one for one in self._streams if one > (event.last_stream_id or 0)]:
                _end(self._streams.pop(number), LOST)

    def _replenish(self, size: int) -> None:
        self._unacknowledged_bytes += size
        if self._unacknowledged_bytes >= REPLENISH_BYTES:
            self._h2.increment_flow_control_window(self._unacknowledged_bytes)
            self._unacknowledged_bytes = 0

    # --- requests ---

    def _send_requests(self) -> None:
        while self._unsent and self._has_room(len(self._unsent[0][2])):
            stream, headers, framed = self._unsent.popleft()
            if not stream.status.done():  # not cancelled meanwhile
                self._send_request(stream, headers, framed)
        self._flush()

    def _has_room(self, size: int) -> bool:
        limit = self._h2.remote_settings.max_concurrent_streams
        return len(self._streams) < limit and size <= self._h2.outbound_flow_control_window

    def _send_request(self, stream: _Stream, headers: Headers, framed: bytes) -> None:
        number, step = self._h2.get_next_available_stream_id(), self._h2.max_outbound_frame_size
        stream.number = number
        self._streams[number] = stream
        self._h2.send_headers(number, headers)
        for start in range(0, len(framed), step):
            end = start + step
            self._h2.send_data(number, framed[start:end], end_stream=end >= len(framed))

    def _reset(self, stream: _Stream) -> None:
        if self._streams.pop(stream.number, None) is not None:
            self._h2.reset_stream(stream.number, ErrorCodes.CANCEL)
            self._flush()

    def _flush(self) -> None:
        data = self._h2.data_to_send()
        if data and not self._transport.is_closing():
            self._transport.write(data)


def _end(stream: _Stream | None, status: Status) -> None:
    if stream is not None and not stream.status.done():
        stream.status.set_result(status)
