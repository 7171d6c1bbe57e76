"""A TCP proxy that can be slow, swallow what it is given, or cut connections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import TracebackType
from typing import Self

CHUNK_BYTES = 1 << 16
END_SECONDS = 20.0
ACCEPT_TURNS = 10  # of the event loop, until a connection that was accepted is served


class TcpProxy:
    """Stands before a server; what it does to replies may be changed at any time.

    So may the server: connections that are made already stay with the one before.
    """

    def __init__(self, port: int, limits: Iterable[int] = ()) -> None:
        """``port`` is the server's, on this machine.

        Each connection breaks after the next of ``limits`` bytes of replies; those after the last
        have none.
        """
        self.server_port = port
        self._limits = iter(limits)
        self.reply_delay: Callable[[], float] = lambda: 0.0  # seconds, asked for each piece
        self.is_swallowing = False  # nothing comes back
        self.cut_after: int | None = None  # bytes of the next reply, whose connection then ends
        self.cut_from_bytes = 0  # if it is so long at least
        self.num_connections = 0  # ever made
        self.num_cuts = 0  # of connections, by this proxy
        self.num_bytes = 0  # of replies, in all
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stop_accepting()
        async with asyncio.timeout(END_SECONDS):
            while self._tasks:
                await self.hang_up()
            for writer in self._writers:
                await _close(writer)

    async def _stop_accepting(self) -> None:
        # a server that is closed drops what it has accepted and not served yet, without a word
        for listening in self._server.sockets:
            asyncio.get_running_loop().remove_reader(listening.fileno())
        for _ in range(ACCEPT_TURNS):
            await asyncio.sleep(0)
        self._server.close()

    async def hang_up(self) -> None:
        """End all connections that were made."""
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.num_connections += 1
        self._writers.append(writer)
        task = asyncio.create_task(self._relay(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self.server_port)
        self._writers.append(server_writer)
        pumps = (
            asyncio.create_task(_pump(reader, server_writer)),
            asyncio.create_task(self._pump_replies(server_reader, writer)),
        )
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            writer.close()
            server_writer.close()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump_replies(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        left = next(self._limits, None)
        while piece := await reader.read(CHUNK_BYTES):
            await asyncio.sleep(self.reply_delay())
            if self.is_swallowing:
                continue
            self.num_bytes += len(piece)
            cut_after = None
            if len(piece) >= self.cut_from_bytes:
                cut_after, self.cut_after = self.cut_after, None
            if cut_after is None and left is not None:
                left -= len(piece)
                cut_after = left + len(piece) if left <= 0 else None
            writer.write(piece[:cut_after])
            await writer.drain()
            if cut_after is not None:
                self.num_cuts += 1
                return


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(CHUNK_BYTES):
        writer.write(piece)
        await writer.drain()


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
