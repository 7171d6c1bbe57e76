"""Purging entries from Redis, and letting every process know of it.

Purges are kept in a stream, so that a process that was cut off learns of them later.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import asdict
from itertools import chain

import structlog

from lstmserve_server.cache.entry_key import Selection
from lstmserve_server.cache.redis.address import RedisAddress
from lstmserve_server.cache.redis.keys import KeyNames
from lstmserve_server.cache.redis.link import RedisLink, open_link
from lstmserve_server.cache.redis.problems import classify
from lstmserve_server.errors import CacheUnavailableError
from lstmserve_server.failures import backoff_seconds

PURGE_SECONDS = 10.0
NODE_SECONDS = 7.0  # of these for the entries, which leaves some to tell of it
MAX_PURGES = 1000  # kept in the stream, about
PURGES_LIVE_SECONDS = 365 * 86400  # as long as any entry may live
UNLINK_BATCH = 500
FIELD = "selection"
# also how soon a stream that began anew, with smaller ids, is noticed
BLOCK_SECONDS = 1.0
ANSWER_SECONDS = 2.0  # beyond the above: Redis, or a node of it, is gone
FIRST_BACKOFF_SECONDS = 0.1
BEGINNING = b"0-0"

log = structlog.get_logger()


async def purge_entries(address: RedisAddress, names: KeyNames, selection: Selection) -> int:
    """Delete what is selected; return how many entries that were.

    Raises CacheUnavailableError. A node of a cluster that does not answer keeps neither the others
    from it nor other processes.
    """
    try:
        async with asyncio.timeout(PURGE_SECONDS), open_link(address, max_connections=2) as link:
            found = await _find(link, names.pattern(selection))
            purged = await asyncio.gather(
                *(_unlink(link, keys) for keys in found), return_exceptions=True
            )
            # told last: whoever hears of it does not find the entries in Redis again
            await _announce(link, names, selection)
            return sum(_raise_error(count) for count in purged)
    except Exception as error:
        problem = classify(error).value
        raise CacheUnavailableError(
            f"Redis does not answer, or refuses ({problem}): entries may be left, here or in "
            "other processes"
        ) from error


async def _find(link: RedisLink, pattern: bytes) -> list[AsyncIterator[bytes]]:
    while True:  # a node that is silent was asked for the others: the next time, another may be
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                return await link.find(pattern)


def _raise_error(count: int | BaseException) -> int:
    if isinstance(count, BaseException):
        raise count
    return count


async def _unlink(link: RedisLink, keys: AsyncIterator[bytes]) -> int:
    batch: list[bytes] = []
    num_purged = 0
    async with asyncio.timeout(NODE_SECONDS):
        async for key in keys:
            batch.append(key)
            if len(batch) == UNLINK_BATCH:
                num_purged += await _unlink_batch(link, batch)
                batch.clear()
        return num_purged + await _unlink_batch(link, batch)


async def _unlink_batch(link: RedisLink, keys: list[bytes]) -> int:
    # one command for each: in a cluster they are in different places
    answers = await link.ask_all([("UNLINK", key) for key in keys]) if keys else []
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return sum(answers)


async def _announce(link: RedisLink, names: KeyNames, selection: Selection) -> None:
    said = {name: value for name, value in asdict(selection).items() if value is not None}
    text = json.dumps(said)  # servers of another release purge all when they do not know a name
    await link.ask("XADD", names.purges, "MAXLEN", "~", MAX_PURGES, "*", FIELD, text)
    await link.ask("EXPIRE", names.purges, PURGES_LIVE_SECONDS)


class PurgeWatch:
    """Hears of purges, also of those made while Redis could not be reached."""

    def __init__(
        self, link: RedisLink, names: KeyNames, on_purge: Callable[[Selection], None]
    ) -> None:
        """``link`` is not used: it knows where Redis is."""
        self._link = link
        self._names = names
        self._on_purge = on_purge
        # a process that starts has nothing to lose: it hears of all that are kept
        self._last_id = BEGINNING
        self._failures = 0

    async def run(self) -> None:
        """Watch until canceled."""
        while True:
            try:
                async with open_link(self._link.address, max_connections=1) as link:
                    await self._follow(link, self._link.num_adopted)
            except Exception as error:  # noqa: BLE001 - whatever it was, it is tried again
                self._failures += 1
                log.debug("purges cannot be watched", problem=classify(error).value)
            await asyncio.sleep(backoff_seconds(self._failures, FIRST_BACKOFF_SECONDS))

    async def _follow(self, link: RedisLink, num_adopted: int) -> None:
        """Watch until requests have left for another server."""
        while num_adopted == self._link.num_adopted:
            async with asyncio.timeout(BLOCK_SECONDS + ANSWER_SECONDS):
                await self._check_stream(link)
                await self._read(link)
            self._failures = 0

    async def _check_stream(self, link: RedisLink) -> None:
        """Begin anew with a stream that does: after a flush or a failover."""
        newest = await link.ask("XREVRANGE", self._names.purges, "+", "-", "COUNT", 1)
        if not newest or _order(newest[0][0]) < _order(self._last_id):
            self._last_id = BEGINNING

    async def _read(self, link: RedisLink) -> None:
        block = ("BLOCK", round(BLOCK_SECONDS * 1000))
        streams = await link.ask("XREAD", *block, "STREAMS", self._names.purges, self._last_id)
        for entries in streams.values():
            for entry_id, fields in chain.from_iterable(entries):
                self._on_purge(_read_selection(fields))
                self._last_id = entry_id


def _read_selection(fields: dict[bytes, bytes]) -> Selection:
    try:
        return Selection(**json.loads(fields[FIELD.encode()]))
    except (KeyError, TypeError, ValueError):
        return Selection()  # another version's words: that it purged something is certain


def _order(entry_id: bytes) -> tuple[int, ...]:
    return tuple(map(int, entry_id.split(b"-")))
