"""Holds a port for the workers, and for nobody else."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from lstmserve_server.config import Address
from lstmserve_server.errors import StartupError


@contextmanager
def reserve_port(listen: Address, option: str = "--listen") -> Iterator[Address]:
    """Reserve an address for listeners with SO_REUSEPORT; yields it with the port in use.

    Raises StartupError, with the option's name, when anybody listens there, or holds it in the
    same way.
    """
    with ExitStack() as sockets:
        try:
            # IPv4 first: a name may have an IPv6 address on a machine that has none
            family, *_, address = min(
                socket.getaddrinfo(listen.host, listen.port, type=socket.SOCK_STREAM)
            )
            held = sockets.enter_context(_hold(family, address))
        except OSError as error:
            raise StartupError(
                f"{option}: cannot listen on {listen}: {error.strerror or error}"
            ) from None
        yield Address(listen.host, held.getsockname()[1])


def _hold(family: int, address: tuple[object, ...]) -> socket.socket:
    """A socket that is bound but never listens, so that no connection comes to it."""
    with _make_socket(family) as alone:
        # only an exclusive listener meets every other holder: two sockets that share a port
        # on purpose would not notice each other
        alone.bind(address)
        alone.listen()
        alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held = _make_socket(family)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(alone.getsockname())
    # for the next supervisor's exclusive listener to fail also before our workers listen
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    return held


def _make_socket(family: int) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    # connections of a server that has just ended do not keep the port
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return made
