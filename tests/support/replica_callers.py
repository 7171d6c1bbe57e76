"""Callers of several replicas who never stop asking, and who know what they must be told."""

from __future__ import annotations

import asyncio
import random
import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Unpack

from benchmarks.endurance.replies import Question, bits_of
from benchmarks.endurance.watched import Watch, watched_async_client, watched_client
from benchmarks.testbed.server import Replica
from lstmserve_client import AsyncClient, Chunk, Client, ClientOptions, Event, Reply

NUM_CALLERS = 8  # of which more than half are in the middle of a stream when something happens
WAIT_SECONDS = 90.0
MAX_CUTS = 8


@contextmanager
def killed(replica: Replica) -> Iterator[None]:
    """It is not there in the whole block, and starts behind it."""
    replica.kill()
    try:
        yield
    finally:
        replica.start()


class Callers(ABC):
    """So many, each with one request at a time over a client that they share."""

    def __init__(
        self,
        targets: Sequence[str],
        questions: Sequence[Question],
        *,
        is_unary: bool = False,
        count: int = NUM_CALLERS,
        **options: Unpack[ClientOptions],
    ) -> None:
        self._targets = targets
        self._options = options
        self._questions = questions
        self._is_unary = is_unary
        self._count = count
        self._changed = threading.Condition()
        self._replies: Counter[int] = Counter()  # of each caller
        self._streaming: set[int] = set()  # callers in the middle of a stream
        self._problems: list[BaseException] = []
        self._is_over = False
        self.watch = Watch()

    def wait_for_streams(self) -> None:
        """Until more than half of the callers are in the middle of a stream."""
        self._wait(lambda: len(self._streaming) > self._count / 2)

    def wait_for_everyone(self) -> None:
        """Until every caller has a further reply: what it was in the middle of, or a new one."""
        before = self._replies.copy()
        self._wait(lambda: all(self._replies[n] > before[n] for n in range(self._count)))

    def cut_streams(self, trouble: Callable[[], AbstractContextManager[None]]) -> None:
        """Be in trouble until it has cut a stream; all have replies in it and after it.

        More than once where servers had sent every reply in full before its callers read it.
        """
        for _ in range(MAX_CUTS):
            self.wait_for_streams()
            with trouble():
                self.wait_for_everyone()
            self.wait_for_everyone()
            if self.watch.resumes:
                return
        raise AssertionError(f"no stream was cut: {self.watch.failures}")

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Everybody has replies before the block begins and after what it did, the right ones."""
        thread = threading.Thread(target=self._run, daemon=True)
        thread.start()
        try:
            self.wait_for_everyone()
            yield
            self.wait_for_everyone()
        finally:
            self._is_over = True
            thread.join(WAIT_SECONDS)
        assert not thread.is_alive(), f"callers have not ended: {self.watch.failures}"
        assert not self._problems, (self._problems, self.watch.failures)

    @abstractmethod
    def _run(self) -> None:
        """Let all callers ask until it is over."""

    def _draw(self, number: int) -> Iterator[Question]:
        """What one caller asks, until it is over."""
        rng = random.Random(number)
        while not self._is_over:
            yield rng.choice(self._questions)

    def _see(self, number: int, event: Event) -> None:
        if isinstance(event, Chunk) and number not in self._streaming:
            with self._changed:
                self._streaming.add(number)
                self._changed.notify_all()

    @contextmanager
    def _noting(self, number: int) -> Iterator[None]:
        """Around one request."""
        try:
            yield
        except BaseException as problem:
            self._problems.append(problem)
            raise
        finally:
            with self._changed:
                self._streaming.discard(number)
                self._replies[number] += 1
                self._changed.notify_all()

    def _check(self, question: Question, reply: Reply) -> None:
        assert bits_of(reply) == question.expected, question.prompt

    def _wait(self, condition: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self._problems or condition(), WAIT_SECONDS), (
                f"callers wait: {self.watch.failures}"
            )
        assert not self._problems, (self._problems, self.watch.failures)


class ThreadedCallers(Callers):
    """Threads and ``Client``."""

    def _run(self) -> None:
        client = watched_client(self._targets, self.watch, **self._options)
        with client, ThreadPoolExecutor(self._count) as pool:
            for number in range(self._count):
                pool.submit(self._call, client, number)  # what they raise is noted

    def _call(self, client: Client, number: int) -> None:
        for question in self._draw(number):
            with self._noting(number):
                self._check(question, self._ask(client, number, question))

    def _ask(self, client: Client, number: int, question: Question) -> Reply:
        if self._is_unary:
            return client.reply(question.prompt, **question.options)
        stream = client.generate(question.prompt, **question.options)
        for event in stream:
            self._see(number, event)
        return stream.reply()


class AsyncCallers(Callers):
    """Tasks of one event loop, in a thread of its own, and ``AsyncClient``."""

    def _run(self) -> None:
        asyncio.run(self._call_all())

    async def _call_all(self) -> None:
        async with watched_async_client(self._targets, self.watch, **self._options) as client:
            calls = (self._call(client, number) for number in range(self._count))
            await asyncio.gather(*calls, return_exceptions=True)  # as above

    async def _call(self, client: AsyncClient, number: int) -> None:
        for question in self._draw(number):
            with self._noting(number):
                self._check(question, await self._ask(client, number, question))

    async def _ask(self, client: AsyncClient, number: int, question: Question) -> Reply:
        if self._is_unary:
            return await client.reply(question.prompt, **question.options)
        stream = client.generate(question.prompt, **question.options)
        async for event in stream:
            self._see(number, event)
        return await stream.reply()
