"""Asks Redis within the budget, or not at all; what goes wrong is told, and is never raised."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from enum import Enum
from typing import Any, TypeVar

import structlog
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    ClusterError,
    NoPermissionError,
    OutOfMemoryError,
    RedisClusterException,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from lstmserve_server.cache.entry_key import Kind
from lstmserve_server.cache.observer import CacheObserver, Lookup, Problem
from lstmserve_server.cache.redis.breaker import Breaker
from lstmserve_server.config import RedisConfig

T = TypeVar("T")
Operation = Callable[[], Coroutine[Any, Any, T]]

# a probe may have to connect, to find the master or to learn a cluster's layout: nobody waits
PROBE_SECONDS = 1.0
# an event loop that is late by this share of the time had no eye for the answer
LATE_SHARE = 0.25
WARN_SECONDS = 60.0
OUTAGES = (Problem.TIMEOUT, Problem.CONNECTION, Problem.CREDENTIALS)

log = structlog.get_logger()


class NoAnswer(Enum):
    """Why there is no answer; the value is what to tell of a lookup."""

    FAILED = Lookup.ERROR
    SKIPPED = Lookup.SKIPPED


def classify(error: BaseException) -> Problem:
    """What went wrong, from what was raised or came as an answer."""
    match error:
        # redis-py hides what failed while it connected behind an error of the connection
        case RedisConnectionError(__cause__=AuthenticationError()):
            return Problem.CREDENTIALS
        case AuthenticationError() | AuthorizationError() | NoPermissionError():
            return Problem.CREDENTIALS
        case TimeoutError() | RedisTimeoutError():
            return Problem.TIMEOUT
        case OutOfMemoryError():
            return Problem.FULL
        case RedisConnectionError() | OSError() | ClusterError() | RedisClusterException():
            return Problem.CONNECTION
        case _:
            return Problem.OTHER


class Guard:
    """Stands between every request and Redis."""

    def __init__(
        self, config: RedisConfig, name: str, ping: Operation[object], observer: CacheObserver
    ) -> None:
        """``name`` is for the log, ``ping`` is how Redis is probed."""
        self._breaker = Breaker(config.breaker_failures, config.breaker_seconds, time.monotonic)
        self._budget_seconds = config.budget_seconds
        self._log = log.bind(redis=name)
        self._ping = ping
        self._observer = observer
        self._opened = asyncio.Event()
        self._warn_at: dict[Problem, float] = {}  # when to tell of it again
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def is_closed(self) -> bool:
        """Whether Redis is asked."""
        return self._breaker.is_closed

    async def run(
        self, kind: Kind, operation: Operation[T], seconds: float | None = None
    ) -> T | NoAnswer:
        """The operation's answer, if it comes within the budget.

        ``seconds`` is what is left of the budget, if that is less: taking longer is no failure.
        """
        if not self._breaker.is_closed:
            return NoAnswer.SKIPPED
        try:
            limit = self._budget_seconds if seconds is None else seconds
            answer = await self.attempt(operation, limit)
        except Exception as error:  # noqa: BLE001 - whatever it was, for the caller it is a miss
            self._record_failure(kind, error, is_shortened=seconds is not None)
            return NoAnswer.FAILED
        self._breaker.record(is_success=True)
        return answer

    async def attempt(self, operation: Operation[T], seconds: float) -> T:
        """The operation's answer; raises what it raises, or TimeoutError.

        It is a task of its own, so that it is canceled once at most: redis-py closes the connection
        of what is canceled, and must not be disturbed when it hands it back. Nobody waits for that.
        """
        task = asyncio.create_task(operation())
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        try:
            await _wait_attentively(task, seconds)
        finally:
            task.cancel()  # nothing happens to one that is done
        if not task.done():
            raise TimeoutError
        if task.cancelled():
            raise RedisConnectionError("closed")
        return task.result()

    async def keep_probing(self) -> None:
        """Close the breaker whenever Redis answers again; runs until canceled."""
        await self._probe()  # the first request finds a connection that is made
        while True:
            await self._opened.wait()
            await asyncio.sleep(self._breaker.seconds_to_probe())
            self._breaker.begin_probe()
            self._breaker.end_probe(is_success=await self._probe())
            if self._breaker.is_closed:
                self._opened.clear()
                self._observer.on_breaker(is_open=False)
                self._log.info("Redis answers; it is asked again")

    async def close(self) -> None:
        """End what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _probe(self) -> bool:
        try:
            await self.attempt(self._ping, PROBE_SECONDS)
            await self.attempt(self._ping, self._budget_seconds)
        except Exception as error:  # noqa: BLE001 - whatever it was, Redis is of no use
            self._log.debug("Redis does not answer", problem=classify(error).value)
            return False
        return True

    def _record_failure(self, kind: Kind, error: Exception, *, is_shortened: bool) -> None:
        problem = classify(error)
        if is_shortened and problem is Problem.TIMEOUT:
            return
        self._observer.on_problem(kind, problem)
        if isinstance(error, ResponseError) or problem not in OUTAGES:
            self._warn_of_refusal(problem, error)  # by a Redis that is there: no outage
            return
        if self._breaker.record(is_success=False):
            self._opened.set()
            self._observer.on_breaker(is_open=True)
            self._log.warning("Redis fails; it is left alone", problem=problem.value)

    def _warn_of_refusal(self, problem: Problem, error: Exception) -> None:
        """Tell of what only an operator can mend, now and then."""
        now = time.monotonic()
        if now >= self._warn_at.get(problem, now):
            self._warn_at[problem] = now + WARN_SECONDS
            self._log.warning("Redis refuses", problem=problem.value, reason=str(error)[:200])

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # asked for, or asyncio would log that nobody did


async def _wait_attentively(task: asyncio.Task[Any], seconds: float) -> None:
    """Wait for a task so long; a little longer when this process was busy with other things.

    Its own lateness says nothing about Redis, and a burst of requests must not open the breaker.
    """
    ends_at = time.monotonic() + seconds
    await asyncio.wait((task,), timeout=seconds)
    if not task.done() and time.monotonic() > ends_at + LATE_SHARE * seconds:
        await asyncio.wait((task,), timeout=LATE_SHARE * seconds)
