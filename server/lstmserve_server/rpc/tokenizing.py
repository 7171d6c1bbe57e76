"""Reads texts where that keeps nobody waiting: their tokens, what they are about, what is in them.

Short ones at once. What is longer would hold up everybody whose reply runs, so it is read by a
thread, which leaves the interpreter to others: one text at a time, and callers in turn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from lstmserve_server.engine.request import Claim
from lstmserve_server.rpc.one_by_one import OneByOne

MAX_AT_ONCE_BYTES = 1 << 9  # a millisecond, with what it is about (docs/log.md)
# of long texts; 32 KiB take some 30 ms, so that the last of them waits for eight seconds
MAX_WAITING = 256

Made = TypeVar("Made")


class Tokenizing:
    """Has the texts of one server tokenized; used on one event loop."""

    def __init__(self, max_waiting: int = MAX_WAITING) -> None:
        self._long = OneByOne(max_waiting, "long texts", "tokenized", "read")

    async def run(self, work: Callable[[], Made], num_bytes: int, claim: Claim) -> Made:
        """Return what ``work`` makes of so many bytes.

        Raises what it raises, QueueFullError when too many long texts wait, UnavailableError where
        the system allows no thread for them, and DeadlineError.
        """
        if num_bytes <= MAX_AT_ONCE_BYTES:
            return work()
        return await self._long.run(work, num_bytes, claim)
