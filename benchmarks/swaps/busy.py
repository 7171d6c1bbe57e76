"""Callers who never stop, and who know what they must be told."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle
from time import monotonic

from benchmarks.load.reply import BrokenReplyError, assemble
from benchmarks.load.transport import Transport
from lstmserve.v1 import generation_service_pb2 as pb

PATH = "/lstmserve.v1.GenerationService/Generate"
Bits = tuple[tuple[int, ...], str]


@dataclass
class Heard:
    """What all callers got so far."""

    replies: int = 0
    tokens: int = 0
    different: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    versions: set[str] = field(default_factory=set)

    def rate_since(self, tokens: int, began_at: float) -> float:
        """Tokens per second since there were so many."""
        return (self.tokens - tokens) / (monotonic() - began_at)


class BusyCallers:
    """Ask the same requests again and again, so many at a time."""

    def __init__(
        self, transport: Transport, requests: Sequence[pb.GenerateRequest], streams: int
    ) -> None:
        self._transport = transport
        self._requests = [request.SerializeToString() for request in requests]
        self._streams = streams
        self._expected: list[Bits] = []
        self.heard = Heard()

    async def ask_alone(self) -> None:
        """Learn what every reply must be."""
        for request in self._requests:
            messages: list[bytes] = []
            await self._transport.stream(PATH, request, messages.append)
            self._expected.append(_to_bits(assemble(messages)))

    async def run(self) -> None:
        """Ask until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._streams):
                group.create_task(self._ask_for_ever(number))

    async def _ask_for_ever(self, first: int) -> None:
        count = len(self._requests)
        for number in cycle(range(first * count // self._streams, count + first)):
            await self._ask(number % count)

    async def _ask(self, number: int) -> None:
        messages: list[bytes] = []
        status = await self._transport.stream(PATH, self._requests[number], messages.append)
        heard, code = self.heard, status.code
        try:
            reply = assemble(messages) if code == "OK" else None
        except BrokenReplyError:
            reply, code = None, "INCOMPLETE"
        if reply is None:
            heard.failed[code] = heard.failed.get(code, 0) + 1
            return
        heard.replies += 1
        heard.tokens += len(reply.token_ids)
        heard.versions.add(reply.started.model_version)
        heard.different += _to_bits(reply) != self._expected[number]


def _to_bits(reply: pb.GenerateReplyResponse) -> Bits:
    return tuple(reply.token_ids), reply.text
