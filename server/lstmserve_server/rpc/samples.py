"""Several replies to one request: how many, made side by side, and ranked."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from statistics import fmean

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_server.replies.reply import Part
from lstmserve_server.rpc.call import Served
from lstmserve_server.rpc.exchange import Exchange
from lstmserve_server.rpc.validation import Bounds, FieldChecks, Request

MAX_BEST_OF = 16


def check_best_of(
    checks: FieldChecks, request: pb.GenerateReplyRequest, temperature: float
) -> None:
    """Check how many replies are sampled, and how many are given back."""
    if not request.HasField("best_of"):
        checks.within("num_replies", count_samples(request), Bounds(1, MAX_BEST_OF))
    else:
        checks.within("best_of", request.best_of, Bounds(1, MAX_BEST_OF))
        if request.HasField("num_replies"):
            most = min(max(1, request.best_of), MAX_BEST_OF)
            checks.within("num_replies", request.num_replies, Bounds(1, most))
    if count_samples(request) <= 1:
        return
    if request.cache_mode == pb.CACHE_MODE_ONLY_IF_CACHED and not request.sampling.HasField("seed"):
        checks.refuse("sampling.seed", "is needed for several replies that are cached")
    if temperature == 0:
        field = "best_of" if request.HasField("best_of") else "num_replies"
        checks.refuse(field, "must be 1 with temperature 0: all replies would be the same")


def count_samples(request: Request) -> int:
    """Return how many replies are sampled; a stream is one."""
    if isinstance(request, pb.GenerateRequest):
        return 1
    return request.best_of if request.HasField("best_of") else count_wanted(request)


def count_wanted(request: Request) -> int:
    """Return how many replies are given back."""
    if isinstance(request, pb.GenerateRequest) or not request.HasField("num_replies"):
        return 1
    return request.num_replies


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
        found = zip(self.exchanges, await self._read_all(), strict=True)
        ranked = sorted((_Sample(*each) for each in found), key=lambda sample: sample.rank)
        self._told = ranked[0].exchange
        best, *others = [sample.to_reply(request, self._told) for sample in ranked]
        best.alternatives.extend(others[: count_wanted(request) - 1])
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


class _Sample:
    """One of several replies, whole."""

    def __init__(self, exchange: Exchange, parts: Sequence[Part]) -> None:
        self.exchange = exchange
        self._parts = parts
        self._mean = fmean(entry.logprob for part in parts for entry in part.output.logprobs)

    @property
    def rank(self) -> tuple[bool, float]:
        """Sort what is said for want of an answer last, then by the mean log-probability."""
        return not self._parts[-1].is_answer, -self._mean

    def to_reply(self, request: Request, best: Exchange) -> pb.GenerateReplyResponse:
        reply = self.exchange.to_reply(self._parts, is_best=self.exchange is best)
        reply.mean_logprob = self._mean
        if not request.sampling.HasField("logprobs"):  # they were asked for to rank by
            reply.ClearField("logprobs")
        if self.exchange is not best:
            reply.ClearField("classification")
        return reply
