"""The engine's end of its connection to the server."""

from __future__ import annotations

import socket
from collections.abc import Iterator

from lstmserve_server.engine.messages import COMMANDS, Command, Message, Unframer, frame

RECEIVED_BYTES = 1 << 18


class Channel:
    """Messages over a stream socket, which belongs to whoever made it."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._unframer = Unframer()

    def send(self, message: Message) -> None:
        """Send a message; wait while the server has too many unread. Raises OSError without it."""
        self._connection.sendall(frame(message))

    def receive(self, *, is_waiting: bool) -> list[bytes]:
        """Return what has come; wait for a message if so told. Raises EOFError without a server."""
        received: list[bytes] = []
        while not (received and is_waiting):
            try:
                data = self._connection.recv(
                    RECEIVED_BYTES, 0 if is_waiting else socket.MSG_DONTWAIT
                )
            except BlockingIOError:
                break
            if not data:
                raise EOFError
            received += self._unframer.add(data)
        return received

    def commands(self, *, is_waiting: bool) -> Iterator[Command]:
        """Yield the commands that have come; see ``receive``."""
        for message in self.receive(is_waiting=is_waiting):
            yield from COMMANDS.decode(message)
