"""Counts who is inside something, and lets nobody in once it is to end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Self

from lstmserve_server.errors import LstmserveError


class Gate:
    """Open until ``close``; knows when the last one has left. Used on one event loop."""

    def __init__(self, make_refusal: Callable[[], LstmserveError]) -> None:
        """``make_refusal`` makes the error for each of those who come when it is closed."""
        self._make_refusal = make_refusal
        self._is_open = True
        self._inside = 0
        self._empty = asyncio.Event()
        self._empty.set()

    def enter(self) -> Self:
        """Be inside for the length of the ``with`` block; raises the refusal when closed."""
        return self

    def __enter__(self) -> None:
        if not self._is_open:
            raise self._make_refusal()
        self._inside += 1
        self._empty.clear()

    def __exit__(self, *_: object) -> None:
        self._inside -= 1
        if not self._inside:
            self._empty.set()

    def close(self) -> None:
        self._is_open = False

    def open(self) -> None:
        """Let people in again."""
        self._is_open = True

    async def wait_until_empty(self, timeout_seconds: float | None = None) -> bool:
        """Wait for those inside; False when some were still there at the end."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True
