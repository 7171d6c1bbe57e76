"""Asks Redis within the budget, or not at all; what goes wrong is told, and is never raised."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from enum import Enum
from math import inf
from typing import Any, TypeVar

import structlog
from redis.exceptions import ConnectionError as RedisConnectionError

from lstmserve_server.cache.entry_key import Kind
from lstmserve_server.cache.observer import CacheObserver, Lookup, Problem
from lstmserve_server.cache.redis.address import Topology
from lstmserve_server.cache.redis.breaker import Breaker, Breakers
from lstmserve_server.cache.redis.link import RedisLink
from lstmserve_server.cache.redis.problems import (
    LEAVING,
    NO_SERVER,
    OUTAGES,
    Asked,
    Refusals,
    classify,
    explain,
)
from lstmserve_server.config import RedisConfig

T = TypeVar("T")
Operation = Callable[[], Coroutine[Any, Any, T]]

# a probe may have to connect, to find the master or to learn a cluster's layout: nobody waits
PROBE_SECONDS = 1.0
# a cluster gives the keys of a node that is gone to another one
LEAVING_NODE = frozenset({Problem.TIMEOUT, Problem.CONNECTION})
# the others may know by now who that is
NODE_PROBE_SECONDS = 2.0
# an event loop that is late by this share of the time had no eye for the answer
LATE_SHARE = 0.25
MAX_REASON = 200  # characters

log = structlog.get_logger()


class NoAnswer(Enum):
    """Why there is no answer; the value is what to tell of a lookup."""

    FAILED = Lookup.ERROR
    SKIPPED = Lookup.SKIPPED


class Guard:
    """Stands between every request and Redis."""

    def __init__(
        self, config: RedisConfig, name: str, link: RedisLink, observer: CacheObserver
    ) -> None:
        """``name`` is for the log."""
        is_cluster = link.address.topology is Topology.CLUSTER
        most_seconds = NODE_PROBE_SECONDS if is_cluster else inf
        limits = (config.breaker_failures, config.breaker_seconds, time.monotonic, most_seconds)
        self.breakers = Breakers(lambda: Breaker(*limits))
        self.budget_seconds = config.budget_seconds
        # set when the breaker has opened, or when another server may have Redis's place
        self.doubt = asyncio.Event()
        self._log = log.bind(redis=name)
        self._link = link
        self._observer = observer
        self._leaving = LEAVING | LEAVING_NODE if is_cluster else LEAVING
        self._refusals = Refusals(time.monotonic)
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(
        self,
        kind: Kind,
        asked: Asked,
        key: str,
        operation: Operation[T],
        seconds: float | None = None,
    ) -> T | NoAnswer:
        """Return the operation's answer, if it comes within the budget; tell of refusals in it.

        The server that has ``key`` has all that the operation asks for. ``seconds`` is what is left
        of the budget, if that is less: taking longer is no failure.
        """
        place = self._link.find_place(key)
        breaker = self.breakers.of(place)
        if not breaker.is_closed:
            return NoAnswer.SKIPPED
        try:
            limit = self.budget_seconds if seconds is None else seconds
            answer = await self.attempt(operation, limit)
        except Exception as error:  # noqa: BLE001 - whatever it was, for the caller it is a miss
            if not (seconds is not None and classify(error) is Problem.TIMEOUT):
                self._record_failure(kind, asked, error, place)
            return NoAnswer.FAILED
        breaker.record(is_success=True)
        return answer

    def refuse(self, kind: Kind, asked: Asked, error: Exception) -> Problem:
        """Tell of an error inside an answer."""
        problem = classify(error)
        self._observer.on_problem(kind, problem)
        if problem in self._leaving:
            self.doubt.set()
        if problem not in NO_SERVER and self._refusals.refuse(problem, asked):
            reason = explain(error)[:MAX_REASON]
            self._log.warning("Redis refuses", problem=problem.value, reason=reason)
        return problem

    def grant(self, asked: Asked) -> None:
        """Tell of an answer without any error inside."""
        seconds = self._refusals.grant(asked)
        if seconds is not None:
            asyncio.get_running_loop().call_later(seconds, self._tell_of_ends)

    async def attempt(self, operation: Operation[T], seconds: float) -> T:
        """Return the operation's answer; raise what it raises, or TimeoutError.

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

    async def ask(self, *command: str) -> Any | None:  # noqa: ANN401 - Redis decides
        """Return the answer to something that no request waits for; None if there is none."""
        try:
            return await self.attempt(lambda: self._link.ask(*command), PROBE_SECONDS)
        except Exception:  # noqa: BLE001 - that it does not answer is the answer
            return None

    async def close(self) -> None:
        """End what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _record_failure(self, kind: Kind, asked: Asked, error: Exception, place: str) -> None:
        problem = self.refuse(kind, asked, error)
        is_first = self.breakers.are_closed
        if problem not in OUTAGES or not self.breakers.of(place).record(is_success=False):
            return
        self.doubt.set()
        if is_first:
            self._observer.on_breaker(is_open=True)
        told = {"problem": problem.value, "reason": explain(error)[:MAX_REASON]}
        node = {"node": place} if place else {}  # of a cluster
        self._log.warning("Redis fails; it is left alone", **told, **node)

    def _tell_of_ends(self) -> None:
        for problem, count in self._refusals.end():
            self._log.info("Redis refuses no more", problem=problem.value, num_refusals=count)

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
