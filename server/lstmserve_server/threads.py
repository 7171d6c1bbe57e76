"""Starts threads. The system may allow no more: then it says so, in words for operators."""

from __future__ import annotations

import threading

from lstmserve_server.errors import NoThreadError


def start_thread(thread: threading.Thread) -> None:
    """Start a thread that was not started before; raises NoThreadError when it cannot be."""
    try:
        thread.start()
    except RuntimeError:  # all that Python tells
        raise NoThreadError(
            "the system lets this process start no further thread; raise its limit of processes "
            "(ulimit -u, or that of its container) or the memory it may take"
        ) from None
