"""Ways to carry bytes between two processes; each has two ends."""

from __future__ import annotations

import mmap
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import zmq

LENGTH_BYTES = 4
RING_BYTES = 1 << 20
RECEIVED_BYTES = 1 << 18


class End(Protocol):
    """One side of a connection."""

    def send(self, data: bytes) -> None: ...

    def receive(self) -> bytes: ...


@dataclass
class SocketEnd:
    """A stream socket; every message after its length."""

    connection: socket.socket
    received: bytes = b""

    def send(self, data: bytes) -> None:
        self.connection.sendall(len(data).to_bytes(LENGTH_BYTES, "little") + data)

    def receive(self) -> bytes:
        while True:
            size = int.from_bytes(self.received[:LENGTH_BYTES], "little") + LENGTH_BYTES
            if len(self.received) >= max(size, LENGTH_BYTES + 1):
                message, self.received = self.received[LENGTH_BYTES:size], self.received[size:]
                return message
            self.received += self.connection.recv(RECEIVED_BYTES)


def socket_pair() -> tuple[SocketEnd, SocketEnd]:
    ours, theirs = socket.socketpair()
    return SocketEnd(ours), SocketEnd(theirs)


@dataclass
class ZmqEnd:
    """A PAIR socket of ZeroMQ over a Unix socket; connected in the process that uses it."""

    address: str
    is_bound: bool
    socket: zmq.Socket[bytes] | None = None

    def send(self, data: bytes) -> None:
        self._open().send(data)

    def receive(self) -> bytes:
        return self._open().recv()

    def _open(self) -> zmq.Socket[bytes]:
        if self.socket is None:
            self.socket = zmq.Context().socket(zmq.PAIR)
            (self.socket.bind if self.is_bound else self.socket.connect)(self.address)
        return self.socket


def zmq_pair() -> tuple[ZmqEnd, ZmqEnd]:
    address = f"ipc://@lstmserve-hop-{os.getpid()}"
    return ZmqEnd(address, is_bound=True), ZmqEnd(address, is_bound=False)


@dataclass
class MemoryEnd:
    """Bytes in shared memory, one message at a time; an eventfd says that there is one."""

    out: mmap.mmap
    out_bell: int
    coming: mmap.mmap
    coming_bell: int

    def send(self, data: bytes) -> None:
        self.out[: LENGTH_BYTES + len(data)] = len(data).to_bytes(LENGTH_BYTES, "little") + data
        os.eventfd_write(self.out_bell, 1)

    def receive(self) -> bytes:
        os.eventfd_read(self.coming_bell)
        size = int.from_bytes(self.coming[:LENGTH_BYTES], "little")
        return self.coming[LENGTH_BYTES : LENGTH_BYTES + size]


def memory_pair() -> tuple[MemoryEnd, MemoryEnd]:
    there, back = (mmap.mmap(-1, RING_BYTES) for _ in range(2))  # shared with forks
    there_bell, back_bell = (os.eventfd(0) for _ in range(2))
    return (
        MemoryEnd(there, there_bell, back, back_bell),
        MemoryEnd(back, back_bell, there, there_bell),
    )


TRANSPORTS: dict[str, Callable[[], tuple[End, End]]] = {
    "Unix socket": socket_pair,
    "pyzmq over a Unix socket": zmq_pair,
    "shared memory and eventfd": memory_pair,
}
