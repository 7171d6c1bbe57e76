"""A compiled version in a file in memory, which one process fills and others load.

Bytes on the heap would have to grow by twice the size of a model for every load.
"""

from __future__ import annotations

import os


def make_archive() -> int:
    """Return the descriptor of an empty one, for the caller to close."""
    return os.memfd_create("lstmserve-archive")


def path_of(descriptor: int) -> str:
    """Return its name for who has the descriptor, whichever process that is."""
    return f"/proc/self/fd/{descriptor}"
