"""How the memory of decode steps is kept."""

from __future__ import annotations

import ctypes

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
    """Return what is free now to the system: once, when a version has been loaded and proved."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
