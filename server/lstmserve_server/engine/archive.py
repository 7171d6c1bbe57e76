"""A compiled version in a file in memory, which one process fills and others load.

Bytes on the heap would have to grow by twice the size of a model for every load.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress

SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


def make_archive() -> int:
    """Return the descriptor of an empty one, for the caller to close."""
    return os.memfd_create("lstmserve-archive", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)


def seal(descriptor: int) -> None:
    """Let nobody change an archive any more: what loads it later does not prove it again."""
    with suppress(OSError):  # a kernel without seals, or a process that still writes
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, SEALS)


def path_of(descriptor: int) -> str:
    """Return its name for who has the descriptor, whichever process that is."""
    return f"/proc/self/fd/{descriptor}"
