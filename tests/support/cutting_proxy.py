"""A TCP proxy whose connections break after so many bytes of replies, wherever that is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from support.delay_proxy import CHUNK_BYTES, DelayProxy


class CuttingProxy(DelayProxy):
    """Each connection has the next limit; those after the last have none."""

    def __init__(self, port: int, limits: Iterable[int]) -> None:
        super().__init__(port)
        self._limits = iter(limits)

    async def _pump_replies(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        left = next(self._limits, None)
        while piece := await reader.read(CHUNK_BYTES):
            writer.write(piece if left is None else piece[:left])
            await writer.drain()
            if left is not None:
                left -= len(piece)
                if left <= 0:
                    return
