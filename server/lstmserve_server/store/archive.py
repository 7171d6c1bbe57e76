"""Where a compiled version is handed over: a file in memory, which two processes can open.

Not bytes on the heap, which would have to grow by twice the size of a model for every load.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def make_archive() -> Iterator[int]:
    """The descriptor of an empty one, which is gone after the block."""
    descriptor = os.memfd_create("lstmserve-archive")
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def path_of(descriptor: int) -> str:
    """Its name for who has the descriptor, whichever process that is."""
    return f"/proc/self/fd/{descriptor}"
