"""A page of memory that a server and its engine's process share, where a message is too slow.

The server counts what it sends, so that the engine sees between two decode steps that something
came. The engine notes which replies it is working on, so that the server knows, when the engine
dies, whose work that was.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Iterable

WORD_BYTES = 8
ARRIVALS, NUM_IN_HAND, FIRST_IN_HAND = 0, 1, 2  # words
MAX_IN_HAND = 1024  # replies: as many as may run
NUM_WORDS = FIRST_IN_HAND + MAX_IN_HAND
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


class SharedPage:
    """The words of the page, each written by one side only."""

    def __init__(self, descriptor: int) -> None:
        """Map the file of this descriptor, which ``make_page`` made."""
        self.memory = mmap.mmap(descriptor, NUM_WORDS * WORD_BYTES)
        self._words = memoryview(self.memory).cast("q")

    def close(self) -> None:
        """Unmap the page."""
        self._words.release()
        self.memory.close()

    # --- by the server -------------------------------------------------------------------

    def count_arrival(self) -> None:
        """Let the engine see that a request has come."""
        self._words[ARRIVALS] += 1

    @property
    def in_hand(self) -> list[int]:
        """The replies that the engine is working on just now, or was when it died."""
        end = FIRST_IN_HAND + self._words[NUM_IN_HAND]
        return self._words[FIRST_IN_HAND:end].tolist()

    # --- by the engine -------------------------------------------------------------------

    def take_in_hand(self, reply_ids: Iterable[int]) -> None:
        """Note which replies the next call works on."""
        number = 0
        for number, reply_id in enumerate(reply_ids, start=1):
            self._words[FIRST_IN_HAND + number - 1] = reply_id
        self._words[NUM_IN_HAND] = number

    def put_down(self) -> None:
        """Note that the call is over."""
        self._words[NUM_IN_HAND] = 0


def make_page() -> int:
    """Return the descriptor of a new page, for the caller to close."""
    descriptor = os.memfd_create("lstmserve-page", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, NUM_WORDS * WORD_BYTES)
    # to read where a file was cut off is SIGBUS: what an engine does must not end the server
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, SEALS)
    return descriptor
