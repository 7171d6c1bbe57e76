"""How memory is given back, and handed to another process.

A compiled version is handed over in a file in memory, which two processes can open. Bytes on the
heap would have to grow by twice the size of a model for every load.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

M_TRIM_THRESHOLD = -1  # malloc.h
M_MMAP_THRESHOLD = -3
KEPT_BYTES = 256 << 20  # more than the buffers of a decode step can be


def keep_buffers() -> None:
    """Let freed buffers wait for the next step instead of going back to the system.

    Each step frees and takes the same few megabytes. glibc returns such blocks at once and
    faults every page in again: a step of one row took 350 µs instead of 200. Other C
    libraries have no such call, and do as they please.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, KEPT_BYTES)
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)


def give_back() -> None:
    """Return what is free now to the system: after a model came or went, and at no other time."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


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
