"""Counts the RPCs being served, and lets nothing new in once the server drains."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from lstmserve_server.errors import DrainingError


class Gate:
    """Open until ``close``; knows when the last RPC has left."""

    def __init__(self) -> None:
        self._is_open = True
        self._inside = 0
        self._empty = asyncio.Event()
        self._empty.set()

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Be inside for the length of one RPC; raises DrainingError when closed."""
        if not self._is_open:
            raise DrainingError("this server is shutting down; ask another one")
        self._inside += 1
        self._empty.clear()
        try:
            yield
        finally:
            self._inside -= 1
            if not self._inside:
                self._empty.set()

    def close(self) -> None:
        self._is_open = False

    async def wait_until_empty(self, timeout_seconds: float) -> bool:
        """Wait for the RPCs inside; False when some were still there at the end."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True
