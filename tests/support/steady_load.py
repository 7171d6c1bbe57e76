"""Callers who never stop asking, and hold every reply against the right one."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

import grpc

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1 import generation_service_pb2_grpc
from lstmserve_client.affinity import METADATA_KEY, affinity_key
from support.metrics_page import MetricsPage
from support.whole_reply import WholeReply, to_unary, whole_of, whole_of_unary

WAIT_SECONDS = 60.0


class SteadyLoad:
    """So many callers of one server, each with one request at a time, streamed and unary.

    Every other call says what it is about, for proxies that go by it.

    Leaving the block stops them; it raises what any of them met.
    """

    def __init__(
        self,
        target: str,
        expected: Sequence[tuple[pb.GenerateRequest, WholeReply]],
        callers: int = 16,
        seed: int = 0,
        options: Sequence[tuple[str, str]] = (),
    ) -> None:
        self._target = target
        self._options = options
        self._expected = expected
        self._callers = callers
        self._rng = random.Random(seed)
        self._is_over = False
        self._changed = asyncio.Event()
        self.outcomes: Counter[int] = Counter()  # of all replies so far

    async def __aenter__(self) -> Self:
        self._channel = grpc.aio.insecure_channel(self._target, options=self._options)
        self._stub = generation_service_pb2_grpc.GenerationServiceStub(self._channel)
        self._tasks = [asyncio.create_task(self._call()) for _ in range(self._callers)]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_over = True
        async with asyncio.timeout(WAIT_SECONDS):
            ended = await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._channel.close()
        if error is None:
            for problem in filter(None, ended):
                raise problem

    async def replies(self, count: int, outcome: int | None = None) -> None:
        """Until so many more have come, or so many from there."""
        first = self._count(outcome)
        async with asyncio.timeout(WAIT_SECONDS):
            while self._count(outcome) < first + count:
                self._check()
                self._changed.clear()
                await self._changed.wait()

    async def until(self, url: str, condition: Callable[[MetricsPage], object]) -> MetricsPage:
        """Until the server's metrics say so."""
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                page = await asyncio.to_thread(MetricsPage, url)
                if condition(page):
                    return page
                await self.replies(1)

    def _count(self, outcome: int | None) -> int:
        return self.outcomes.total() if outcome is None else self.outcomes[outcome]

    def _check(self) -> None:
        """Raise what a caller met."""
        for task in self._tasks:
            if task.done():
                task.result()

    async def _call(self) -> None:
        try:
            while not self._is_over:
                request, expected = self._rng.choice(self._expected)
                reply = await self._ask(request)
                assert reply == expected, request
                self.outcomes[reply.outcome] += 1
                self._changed.set()
        finally:
            self._changed.set()

    async def _ask(self, request: pb.GenerateRequest) -> WholeReply:
        key = ((METADATA_KEY, affinity_key(str(request.sampling.seed), request)),)
        metadata = self._rng.choice(((), key))
        if self._rng.random() < 0.5:
            call = self._stub.GenerateReply(to_unary(request), metadata=metadata)
            return whole_of_unary(await call)
        events = self._stub.Generate(request, metadata=metadata)
        return whole_of([event async for event in events])
