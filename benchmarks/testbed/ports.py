"""Ports for programs that cannot choose one and say which, or that must have theirs again.

Whoever can listens on port 0 instead, and says what that was.
"""

from __future__ import annotations

import atexit
import random
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

HOST = "127.0.0.1"
# below those that connections are given; a Redis Cluster's node also listens 10,000 above
FIRST, LAST = 12_000, 22_000
BLOCK = 100


def find_free_port() -> int:
    """Return a port that is free on every loopback address, and that no other process asks for.

    Raises OSError if there is none.
    """
    with _LOCK:
        return next(_PORTS)


def find_free_address() -> str:
    """Return HOST:PORT, with such a port."""
    return f"{HOST}:{find_free_port()}"


def _free_ports() -> Iterator[int]:
    """Yield those of blocks that are this process's, for as long as it lives."""
    blocks = range(FIRST, LAST, BLOCK)
    for block in random.sample(blocks, len(blocks)):
        # an abstract name: the kernel lets go of it with the process
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0lstmserve-testbed-{block}")
        except OSError:
            claim.close()
            continue
        _CLAIMS.append(claim)
        yield from filter(_is_free, range(block, block + BLOCK))
    raise OSError(f"no free port from {FIRST} to {LAST - 1}")


def _is_free(port: int) -> bool:
    with socket.socket() as tried, suppress(OSError):
        tried.bind(("", port))
        return True
    return False


_LOCK = threading.Lock()
_CLAIMS: list[socket.socket] = []
_PORTS = _free_ports()


@atexit.register
def _let_go() -> None:
    for claim in _CLAIMS:
        claim.close()
