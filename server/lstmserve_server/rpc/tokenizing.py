"""Reads texts where that keeps nobody waiting: their tokens, what they are about, what is in them.

Short ones at once. What is longer would hold up everybody whose reply runs, so it is read by a
thread, which leaves the interpreter to others: one text at a time, and callers in turn.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from lstmserve_server.engine.request import Claim
from lstmserve_server.engine.scheduling.admission import DEFAULT_RETRY_SECONDS, SHARE_OF_REST
from lstmserve_server.engine.scheduling.fair_queue import FairQueue
from lstmserve_server.errors import (
    CallerShareError,
    DeadlineError,
    QueueFullError,
    UnavailableError,
)

MAX_AT_ONCE_BYTES = 1 << 9  # a millisecond, with what it is about (docs/log.md)
# of long texts; 32 KiB take some 30 ms, so that the last of them waits for eight seconds
MAX_WAITING = 256

Made = TypeVar("Made")


@dataclass(eq=False, slots=True)
class _Text:
    """One that waits for the thread, or is there."""

    claim: Claim
    cost: int  # bytes
    work: Callable[[], Any]
    tokens: asyncio.Future[Any]


def _make_thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "tokenizer")  # not there before it is needed


class Tokenizing:
    """Has the texts of one server tokenized; used on one event loop."""

    def __init__(self, max_waiting: int = MAX_WAITING) -> None:
        self._max_waiting = max_waiting
        self._queue: FairQueue[_Text] = FairQueue()
        self._held: Counter[str] = Counter()  # texts of each caller, also the one that is worked on
        self._thread = _make_thread()
        self._is_busy = False

    async def run(self, work: Callable[[], Made], num_bytes: int, claim: Claim) -> Made:
        """Return what ``work`` makes of so many bytes.

        Raises what it raises, QueueFullError when too many long texts wait, and DeadlineError.
        """
        if num_bytes <= MAX_AT_ONCE_BYTES:
            return work()
        self._check_room(claim.caller)
        text = _Text(claim, num_bytes, work, asyncio.get_running_loop().create_future())
        self._held[claim.caller] += 1
        self._queue.push(text)
        self._begin_next()
        try:
            async with asyncio.timeout_at(None if math.isinf(claim.deadline) else claim.deadline):
                made: Made = await text.tokens
                return made
        except TimeoutError:
            raise DeadlineError("the deadline passed before the text was tokenized") from None

    def _check_room(self, caller: str) -> None:
        """Leave places to callers who have none yet, as the engine's admission does."""
        held, own = self._held.total(), self._held[caller]
        places_left = self._max_waiting - held
        if places_left <= 0:
            raise QueueFullError(
                f"{held} long texts are waiting to be tokenized, and the server keeps no more",
                DEFAULT_RETRY_SECONDS,
            )
        if own and own >= SHARE_OF_REST * (places_left - 1):
            raise CallerShareError(
                f"{own} long texts of this caller are waiting to be tokenized; what is left of "
                "the queue is kept for others (callers are told apart by x-caller-id)",
                DEFAULT_RETRY_SECONDS,
            )

    def _begin_next(self) -> None:
        while not self._is_busy and (text := self._queue.pop()) is not None:
            if text.tokens.done():  # its caller has left
                self._forget(text.claim.caller)
                continue
            try:
                done = self._thread.submit(text.work)
            except RuntimeError:  # the system allows no further thread
                self._give_up(text)
            else:
                self._is_busy = True
                done.add_done_callback(partial(self._tell, text))

    def _give_up(self, text: _Text) -> None:
        self._thread = _make_thread()  # which would work on it once it has a thread
        text.tokens.set_exception(
            UnavailableError(
                "this server cannot read long texts now: its system lets it start no thread for "
                "them; ask another one, or later"
            )
        )
        self._forget(text.claim.caller)

    def _tell(self, text: _Text, done: Future[Any]) -> None:
        """Tell, on the thread."""
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            text.tokens.get_loop().call_soon_threadsafe(self._end, text, done)

    def _end(self, text: _Text, done: Future[Any]) -> None:
        self._is_busy = False
        self._forget(text.claim.caller)
        error = done.exception()
        if text.tokens.done():  # its caller has left
            pass
        elif error is not None:
            text.tokens.set_exception(error)
        else:
            text.tokens.set_result(done.result())
        self._begin_next()

    def _forget(self, caller: str) -> None:
        self._held[caller] -= 1
        if not self._held[caller]:
            del self._held[caller]
            self._queue.forget(caller)
