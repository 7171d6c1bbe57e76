"""One Redis, however it is reached: commands in, answers out. Knows no budget and no entries."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from types import TracebackType
from typing import Any

from redis.exceptions import NoScriptError, RedisError

from lstmserve_server.cache.redis.address import RedisAddress
from lstmserve_server.cache.redis.client import (
    Argument,
    Client,
    close_client,
    find_nodes,
    find_place,
    learn_layout,
    make_client,
    scan_nodes,
)
from lstmserve_server.cache.redis.scripts import Script

SCAN_COUNT = 1000  # keys that Redis looks at in one go; other clients wait so long

Command = Sequence[Argument]


class Session:
    """The connections that were made when an address was looked up, and how many use them."""

    def __init__(self, address: RedisAddress, max_connections: int) -> None:
        """Connects to nothing yet."""
        self.client = make_client(address, max_connections)
        self._num_users = 0
        self._is_unused = asyncio.Event()
        self._is_unused.set()

    def __enter__(self) -> Client:
        self._num_users += 1
        self._is_unused.clear()
        return self.client

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._num_users -= 1
        if not self._num_users:
            self._is_unused.set()

    async def ask(self, *command: Argument) -> Any:  # noqa: ANN401 - Redis decides
        """Send one command; raise what redis-py raises."""
        with self as client:
            return await client.execute_command(*command)

    async def learn_layout(self) -> None:
        """Ask a cluster which server has which keys; raise what redis-py raises."""
        with self as client:
            await learn_layout(client)

    def find_place(self, key: str) -> str:
        """Return which server has a key: of a cluster a node's name, else nothing."""
        return find_place(self.client, key)

    async def leave(self) -> None:
        """Close the connections once nobody uses them; what cannot be closed is let go."""
        await self._is_unused.wait()
        with suppress(RedisError, OSError):
            await self.close()

    async def close(self) -> None:
        await close_client(self.client)


class RedisLink:
    """A bounded number of connections to one Redis; a command waits when none is free."""

    def __init__(self, address: RedisAddress, max_connections: int) -> None:
        """Connects to nothing yet."""
        self._address = address
        self._max_connections = max_connections
        self._session = Session(address, max_connections)
        # not redis-py's blocking pool: that costs 13 µs more, and a cluster's client has none
        self._places = asyncio.Semaphore(max_connections)
        self._leaving: set[asyncio.Task[None]] = set()
        self.num_adopted = 0  # how often another server was found, or the same one again

    @property
    def address(self) -> RedisAddress:
        """Where Redis is, as far as is known: also the nodes of a cluster that the URL omits."""
        nodes = dict.fromkeys((*find_nodes(self._session.client), *self._address.nodes))
        return replace(self._address, nodes=tuple(nodes))

    def open_session(self) -> Session:
        """Look the address up again, to see where it leads now."""
        return Session(self.address, self._max_connections)

    def adopt(self, session: Session) -> None:
        """Ask by way of another session from now on; what is under way ends undisturbed."""
        task = asyncio.create_task(self._session.leave())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
        self._session = session
        self.num_adopted += 1

    async def ask(self, *command: Argument) -> Any:  # noqa: ANN401 - Redis decides
        """Send one command; raise what redis-py raises."""
        async with self._places:
            return await self._session.ask(*command)

    async def learn_layout(self) -> None:
        """Do the same as a session."""
        await self._session.learn_layout()

    def find_place(self, key: str) -> str:
        """Do the same as a session."""
        return self._session.find_place(key)

    async def ask_all(self, commands: Iterable[Command]) -> list[Any]:
        """Send several commands in one go; the answer of one that failed is its error."""
        async with self._places:
            with self._session as client:
                pipeline = client.pipeline(transaction=False)
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

    async def find(self, pattern: bytes) -> list[AsyncIterator[bytes]]:
        """Yield the keys that match, of each node by itself; one may come twice."""
        with self._session as client:
            return await scan_nodes(client, pattern, SCAN_COUNT)

    async def close(self) -> None:
        await asyncio.gather(self._session.close(), *self._leaving)


@asynccontextmanager
async def open_link(address: RedisAddress, max_connections: int) -> AsyncIterator[RedisLink]:
    """Open a link for as long as the block runs."""
    link = RedisLink(address, max_connections)
    try:
        yield link
    finally:
        await link.close()
