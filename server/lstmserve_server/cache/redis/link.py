"""One Redis, however it is reached: commands in, answers out. Knows no budget and no entries."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from redis.exceptions import NoScriptError

from lstmserve_server.cache.redis.address import RedisAddress
from lstmserve_server.cache.redis.client import Argument, close_client, make_client
from lstmserve_server.cache.redis.scripts import Script

SCAN_COUNT = 1000  # keys that Redis looks at in one go; other clients wait so long

Command = Sequence[Argument]


class RedisLink:
    """A bounded number of connections to one Redis; who finds none free waits."""

    def __init__(self, address: RedisAddress, max_connections: int) -> None:
        """Connects to nothing yet."""
        self._client = make_client(address, max_connections)
        # not redis-py's blocking pool: that costs 13 µs more, and a cluster's client has none
        self._places = asyncio.Semaphore(max_connections)

    async def ask(self, *command: Argument) -> Any:  # noqa: ANN401 - Redis decides
        """One command; raises what redis-py raises."""
        async with self._places:
            return await self._client.execute_command(*command)

    async def ask_all(self, commands: Iterable[Command]) -> list[Any]:
        """Several commands in one go; the answer of one that failed is its error."""
        async with self._places:
            pipeline = self._client.pipeline(transaction=False)
            for command in commands:
                pipeline.execute_command(*command)
            return await pipeline.execute(raise_on_error=False)

    async def run(self, script: Script, keys: Command, arguments: Command = ()) -> Any:  # noqa: ANN401 - Redis decides
        """Run a script, which Redis forgets when it is restarted or told to."""
        call = (len(keys), *keys, *arguments)
        try:
            return await self.ask("EVALSHA", script.sha, *call)
        except NoScriptError:
            return await self.ask("EVAL", script.text, *call)

    async def find(self, pattern: bytes) -> AsyncIterator[bytes]:
        """The keys that match, of every node; one may come twice."""
        async for key in self._client.scan_iter(match=pattern, count=SCAN_COUNT):
            yield key

    async def close(self) -> None:
        await close_client(self._client)


@asynccontextmanager
async def open_link(address: RedisAddress, max_connections: int) -> AsyncIterator[RedisLink]:
    """A link for as long as the block runs."""
    link = RedisLink(address, max_connections)
    try:
        yield link
    finally:
        await link.close()
