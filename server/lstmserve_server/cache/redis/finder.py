"""Finds Redis again: after an outage, and when another server may have its place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from lstmserve_server.cache.observer import CacheObserver, Problem
from lstmserve_server.cache.redis.address import Topology
from lstmserve_server.cache.redis.guard import PROBE_SECONDS, Guard
from lstmserve_server.cache.redis.link import RedisLink, Session
from lstmserve_server.cache.redis.problems import LEAVING, OUTAGES, classify

Ask = Callable[..., Coroutine[Any, Any, Any]]

# between two looks for another server: one connection each, or all of them if it was found
LOOK_SECONDS = 0.2
FOUND_SECONDS = 1.0
# a server that was replaced in silence may still answer: who is it that the address leads to?
COMPARE_SECONDS = 30.0
# one of them is a key of any server that has more than a hundredth of all
DRAWN_KEYS = 1000

log = structlog.get_logger()


class Finder:
    """Makes new connections, and has requests use them once they lead to a server of use."""

    def __init__(
        self,
        guard: Guard,
        link: RedisLink,
        name: str,
        find_unused: Callable[[], str],
        observer: CacheObserver,
    ) -> None:
        """``name`` is for the log; ``find_unused`` names a key that is never there."""
        self._guard = guard
        self._link = link
        self._log = log.bind(redis=name)
        self._find_unused = find_unused
        self._observer = observer

    async def run(self) -> None:
        """Find Redis again whenever it fails or is in doubt; runs until canceled."""
        await self._ask_twice(self._link)  # the first request finds a connection that is made
        while True:
            if not await self._wait_for_doubt() and not await self._is_replaced():
                continue
            self._guard.doubt.clear()
            if self._guard.breakers.are_closed:
                is_found = await self._look_for_another()
                await asyncio.sleep(FOUND_SECONDS if is_found else LOOK_SECONDS)
            else:
                await self._half_open()

    async def _wait_for_doubt(self) -> bool:
        """Return whether there is doubt; if not, it is time to look where the address leads."""
        try:
            async with asyncio.timeout(COMPARE_SECONDS):
                await self._guard.doubt.wait()
        except TimeoutError:
            return False
        return True

    async def _is_replaced(self) -> bool:
        """Return whether the address leads to another server than the one that is asked.

        The nodes of a cluster tell by themselves who has which place.
        """
        if self._link.address.topology is Topology.CLUSTER:
            return False
        session = self._link.open_session()
        try:
            ours, current = [
                await self._guard.attempt(lambda ask=ask: identify(ask), PROBE_SECONDS)  # type: ignore[misc]
                for ask in (self._link.ask, session.ask)
            ]
        except Exception:  # noqa: BLE001 - whatever it was, it says nothing of that
            return False
        finally:
            await session.leave()
        return ours != current

    async def _half_open(self) -> None:
        place, breaker = self._guard.breakers.find_next()
        await asyncio.sleep(breaker.seconds_to_probe())
        breaker.begin_probe()
        breaker.end_probe(is_success=await self._connect_anew(OUTAGES, place))
        if self._guard.breakers.are_closed:
            self._observer.on_breaker(is_open=False)
            self._log.info("Redis answers; it is asked again")
        else:
            self._guard.doubt.set()

    async def _look_for_another(self) -> bool:
        """Return whether the address leads to a server now that takes writes."""
        return await self._connect_anew(OUTAGES | LEAVING)

    async def _connect_anew(self, unwanted: frozenset[Problem], place: str = "") -> bool:
        """Leave all connections for new ones, if those lead to a server that is of use.

        Of a cluster, to this one, or to whichever has its keys now.
        """
        session = self._link.open_session()
        is_found = False
        try:
            is_found = await self._ask_twice(session, place) not in unwanted
        finally:
            if not is_found:
                await session.leave()
        if is_found:
            self._link.adopt(session)
        return is_found

    async def _ask_twice(self, link: Session | RedisLink, place: str = "") -> Problem | None:
        """Return what is wrong with Redis, which may take longer to connect than to answer."""
        try:
            await self._guard.attempt(link.learn_layout, PROBE_SECONDS)
            probe = ("UNLINK", self._draw_key(link, place))  # a write, which a replica refuses
            await self._guard.attempt(lambda: link.ask(*probe), PROBE_SECONDS)
            await self._guard.attempt(lambda: link.ask(*probe), self._guard.budget_seconds)
        except Exception as error:  # noqa: BLE001 - whatever it was, Redis is of no use
            problem = classify(error)
            self._log.debug("a probe of Redis failed", problem=problem.value)
            return problem
        return None

    def _draw_key(self, link: Session | RedisLink, place: str) -> str:
        """Return a key that a server has; any, if it has none, as its keys are another's now."""
        drawn = [self._find_unused() for _ in range(DRAWN_KEYS if place else 1)]
        return next((key for key in drawn if link.find_place(key) == place), drawn[0])


async def identify(ask: Ask) -> object:
    """Ask a server for the name that it has until it ends."""
    return (await ask("INFO", "server"))["run_id"]
