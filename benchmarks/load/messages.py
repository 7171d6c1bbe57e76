"""gRPC's framing of messages within a stream: one byte of flags, four of length."""

from __future__ import annotations

PREFIX_BYTES = 5


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
