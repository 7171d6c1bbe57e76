"""Does what takes long where that keeps nobody waiting: on a thread, callers in turn."""

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

Made = TypeVar("Made")


@dataclass(eq=False, slots=True)
class _Work:
    """What waits for the thread, or is there."""

    claim: Claim
    cost: int
    call: Callable[[], Any]
    made: asyncio.Future[Any]


class OneByOne:
    """Has one piece of work done at a time; used on one event loop."""

    def __init__(self, max_waiting: int, things: str, done: str, do: str) -> None:
        """Errors name the ``things`` that are worked on, and tell what is ``done`` with them."""
        self._max_waiting = max_waiting
        self._things = things
        self._done = done
        self._do = do
        self._queue: FairQueue[_Work] = FairQueue()
        self._held: Counter[str] = Counter()  # work of each caller, also what is worked on
        self._thread = self._make_thread()
        self._is_busy = False

    async def run(self, call: Callable[[], Made], cost: int, claim: Claim) -> Made:
        """Return what a call returns; of equals, callers with less cost so far go first.

        Raises what it raises, QueueFullError when too many wait, UnavailableError where the system
        allows no thread, and DeadlineError.
        """
        self._check_room(claim.caller)
        work = _Work(claim, cost, call, asyncio.get_running_loop().create_future())
        self._held[claim.caller] += 1
        self._queue.push(work)
        self._begin_next()
        try:
            async with asyncio.timeout_at(None if math.isinf(claim.deadline) else claim.deadline):
                made: Made = await work.made
                return made
        except TimeoutError:
            raise DeadlineError(
                f"the deadline passed before the {self._things} were {self._done}"
            ) from None

    def _check_room(self, caller: str) -> None:
        """Leave places to callers who have none yet, as the engine's admission does."""
        held, own = self._held.total(), self._held[caller]
        places_left = self._max_waiting - held
        if places_left <= 0:
            raise QueueFullError(
                f"{held} {self._things} are waiting to be {self._done}, and the server keeps no "
                "more",
                DEFAULT_RETRY_SECONDS,
            )
        if own and own >= SHARE_OF_REST * (places_left - 1):
            raise CallerShareError(
                f"{own} {self._things} of this caller are waiting to be {self._done}; what is left "
                "of the queue is kept for others (callers are told apart by x-caller-id)",
                DEFAULT_RETRY_SECONDS,
            )

    def _begin_next(self) -> None:
        while not self._is_busy and (work := self._queue.pop()) is not None:
            if work.made.done():  # its caller has left
                self._forget(work.claim.caller)
                continue
            try:
                done = self._thread.submit(work.call)
            except RuntimeError:  # the system allows no further thread
                self._give_up(work)
            else:
                self._is_busy = True
                done.add_done_callback(partial(self._tell, work))

    def _make_thread(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(1, self._things)  # not there before it is needed

    def _give_up(self, work: _Work) -> None:
        self._thread = self._make_thread()  # which would work on it once it has a thread
        work.made.set_exception(
            UnavailableError(
                f"this server cannot {self._do} {self._things} now: its system lets it start no "
                "thread for them; ask another one, or later"
            )
        )
        self._forget(work.claim.caller)

    def _tell(self, work: _Work, done: Future[Any]) -> None:
        """Tell, on the thread."""
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            work.made.get_loop().call_soon_threadsafe(self._end, work, done)

    def _end(self, work: _Work, done: Future[Any]) -> None:
        self._is_busy = False
        self._forget(work.claim.caller)
        error = done.exception()
        if work.made.done():  # its caller has left
            pass
        elif error is not None:
            work.made.set_exception(error)
        else:
            work.made.set_result(done.result())
        self._begin_next()

    def _forget(self, caller: str) -> None:
        self._held[caller] -= 1
        if not self._held[caller]:
            del self._held[caller]
            self._queue.forget(caller)
