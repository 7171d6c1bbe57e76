"""Callers who never stop asking while versions are swapped."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

from support.live_server import LiveServer
from support.swapped_replies import REQUESTS, SwappedReplies

WAIT_SECONDS = 100.0


class SwapLoad:
    """Threads with one request at a time, streamed or unary; every reply is checked.

    Leaving the block stops them; it raises what any of them met.
    """

    def __init__(self, live: LiveServer, expected: SwappedReplies, callers: int) -> None:
        self._live = live
        self._expected = expected
        self._callers = callers
        self._pool = ThreadPoolExecutor(callers)
        self._changed = threading.Condition()
        self._is_over = False
        self._versions: Counter[int] = Counter()  # of the replies that count
        self._period = 0  # replies count that began in the present one

    def __enter__(self) -> Self:
        self._futures = [self._pool.submit(self._call, n) for n in range(self._callers)]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_over = True
        self._pool.shutdown()
        if error is None:
            self._check()

    def replies(self, count: int) -> Counter[int]:
        """The versions of at least so many replies that begin and end from now on."""
        with self._changed:
            self._period += 1
            self._versions.clear()
            assert self._changed.wait_for(lambda: self._has(count), WAIT_SECONDS), "no replies"
            self._check()
            return self._versions.copy()

    def _has(self, count: int) -> bool:
        return self._versions.total() >= count or any(future.done() for future in self._futures)

    def _check(self) -> None:
        for future in self._futures:
            if future.done():
                future.result()

    def _call(self, caller: int) -> None:
        try:
            for turn in itertools.count(caller):
                if self._is_over:
                    return
                number, period = turn % len(REQUESTS), self._period
                reply = self._live.served.ask(REQUESTS[number], unary=turn % 2 == 0)
                version = self._expected.check(self._live, number, reply)
                with self._changed:
                    self._versions[version] += period == self._period
                    self._changed.notify_all()
        finally:
            with self._changed:
                self._changed.notify_all()
