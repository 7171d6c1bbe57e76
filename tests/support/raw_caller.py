"""A gRPC caller of plain HTTP/2, which gives the server as little room as it likes."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from google.protobuf.message import Message
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, StreamEnded, StreamReset, TrailersReceived
from h2.settings import SettingCodes

from benchmarks.load.grpc_wire import MessageReader, frame_message
from lstmserve.v1 import generation_service_pb2 as pb

GENERATE = "/lstmserve.v1.GenerationService/Generate"
MAX_READ_BYTES = 1 << 16
MAX_WINDOW_BYTES = (1 << 31) - 1


class RawCaller:
    """One connection, streams of which have this much room each until they are given more."""

    def __init__(self, connection: socket.socket, window_bytes: int) -> None:
        self._socket = connection
        self._h2 = H2Connection(H2Configuration(header_encoding="utf-8"))
        self._h2.local_settings[SettingCodes.INITIAL_WINDOW_SIZE] = window_bytes
        self._h2.local_settings[SettingCodes.ENABLE_PUSH] = 0
        self._h2.local_settings.acknowledge()
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(MAX_WINDOW_BYTES - 65_535)
        self.received: dict[int, bytearray] = {}
        self.trailers: dict[int, dict[str, str]] = {}
        self._send()

    def call(self, request: Message, path: str = GENERATE) -> int:
        """Send a whole request; the number of its stream."""
        number = self._h2.get_next_available_stream_id()
        headers = [
            *((":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "test")),
            *(("te", "trailers"), ("content-type", "application/grpc")),
        ]
        self._h2.send_headers(number, headers)
        self._h2.send_data(number, frame_message(request.SerializeToString()), end_stream=True)
        self.received[number] = bytearray()
        self._send()
        return number

    def give(self, number: int, num_bytes: int) -> None:
        """Room for so many more bytes of a stream."""
        self._h2.increment_flow_control_window(num_bytes, number)
        self._send()

    def read(self, number: int, num_bytes: int) -> None:
        """Until so many bytes of a stream have come."""
        while len(self.received[number]) < num_bytes:
            self._read_more()

    def read_to_end(self, number: int) -> list[pb.GenerateResponse]:
        """All events of a stream, once it has ended."""
        while number not in self.trailers:
            self._read_more()
        reader = MessageReader()
        return [
            pb.GenerateResponse.FromString(message)
            for message in reader.read(bytes(self.received[number]))
        ]

    def _read_more(self) -> None:
        data = self._socket.recv(MAX_READ_BYTES)
        assert data, "the server has closed the connection"
        for event in self._h2.receive_data(data):
            assert not isinstance(event, ConnectionTerminated | StreamReset), event
            if isinstance(event, DataReceived):
                self.received[event.stream_id] += event.data
            elif isinstance(event, TrailersReceived):
                self.trailers[event.stream_id] = dict(event.headers)
            elif isinstance(event, StreamEnded):
                assert event.stream_id in self.trailers
        self._send()

    def _send(self) -> None:
        self._socket.sendall(self._h2.data_to_send())


@contextmanager
def raw_caller(target: str, window_bytes: int) -> Iterator[RawCaller]:
    with open_socket(target) as connection:
        yield RawCaller(connection, window_bytes)


def open_socket(target: str) -> socket.socket:
    """A connection to a server, over which nothing has been said."""
    host, _, port = target.rpartition(":")
    return socket.create_connection((host, int(port)))
