"""Several replies to one request, made side by side and ranked."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from statistics import fmean
from typing import TYPE_CHECKING

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_server.rpc.validation import Request

if TYPE_CHECKING:
    from lstmserve_server.replies.reply import Part
    from lstmserve_server.rpc.call import Served
    from lstmserve_server.rpc.generation import Exchange


class Samples:
    """The replies to one request, in the order of their seeds; mostly one."""

    def __init__(self, exchanges: Sequence[Exchange], most_at_once: int) -> None:
        """Make at most ``most_at_once`` replies at the same time."""
        self.exchanges = exchanges
        self._most_at_once = most_at_once
        self._told = exchanges[0]

    async def reply(self, request: Request) -> pb.GenerateReplyResponse:
        """Return the best reply, with as many others as the request wants; raise for all of them
        what one of them raises.
        """
        if len(self.exchanges) == 1:
            return self._told.to_reply(await _read(self._told))
        parts = await self._read_all()
        found = sorted(zip(self.exchanges, parts, strict=True), key=lambda each: _rank(each[1]))
        self._told = found[0][0]
        best, *others = [
            _to_reply(exchange, read, request, is_best=exchange is self._told)
            for exchange, read in found
        ]
        wanted = request.num_replies if isinstance(request, pb.GenerateReplyRequest) else 0
        best.alternatives.extend(others[: max(1, wanted) - 1])
        return best

    def sum_up(self) -> Served:
        """Return what the caller got, with the tokens of all replies."""
        num_tokens = sum(exchange.num_tokens for exchange in self.exchanges)
        return replace(self._told.sum_up(), generated_tokens=num_tokens)

    async def _read_all(self) -> list[list[Part]]:
        places = asyncio.Semaphore(self._most_at_once)

        async def read(exchange: Exchange) -> list[Part]:
            async with places:
                return await _read(exchange)

        reading = [asyncio.create_task(read(exchange)) for exchange in self.exchanges]
        try:
            return await asyncio.gather(*reading)
        except BaseException:
            await self._end(reading)
            raise

    async def _end(self, reading: Sequence[asyncio.Task[list[Part]]]) -> None:
        """End what still runs, and count what is whole already, which nobody gets any more."""
        for task in reading:
            task.cancel()
        results = await asyncio.gather(*reading, return_exceptions=True)
        for exchange, result in zip(self.exchanges, results, strict=True):
            if not isinstance(result, BaseException):
                exchange.discard(result)


async def _read(exchange: Exchange) -> list[Part]:
    """Return all parts of a reply; those that came before an error are counted."""
    parts: list[Part] = []
    try:
        async with aclosing(exchange.parts) as coming:
            async for part in coming:
                parts.append(part)  # noqa: PERF401 - what came before an error counts
    except BaseException:
        exchange.discard(parts)
        raise
    return parts


def _rank(parts: Sequence[Part]) -> tuple[bool, float]:
    """Sort what is said for want of an answer last, then by the mean log-probability of tokens."""
    return not parts[-1].is_answer, -_mean_logprob(parts)


def _mean_logprob(parts: Sequence[Part]) -> float:
    return fmean(entry.logprob for part in parts for entry in part.output.logprobs)


def _to_reply(
    exchange: Exchange, parts: Sequence[Part], request: Request, *, is_best: bool
) -> pb.GenerateReplyResponse:
    reply = exchange.to_reply(parts, is_best=is_best)
    reply.mean_logprob = _mean_logprob(parts)
    if not request.sampling.HasField("logprobs"):  # they were asked for to rank by
        reply.ClearField("logprobs")
    if not is_best:
        reply.ClearField("classification")
    return reply
