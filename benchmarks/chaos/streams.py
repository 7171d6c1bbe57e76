"""Callers who never stop, and who know what they must be told."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic

from benchmarks.chaos.replies import Question, bits_of
from lstmserve_client import AsyncClient, LstmserveError, Reply

UNARY_SHARE = 0.25


@dataclass(frozen=True)
class Silence:
    """The longest time between two events of one stream; seconds on the monotonic clock."""

    began_at: float
    ended_at: float

    @property
    def seconds(self) -> float:
        return self.ended_at - self.began_at


@dataclass
class Heard:
    """What all callers got."""

    replies: int = 0
    streamed: int = 0
    changed: int = 0
    lost: Counter[str] = field(default_factory=Counter)  # by error class
    silences: list[Silence] = field(default_factory=list)  # one for each streamed reply


class Streams:
    """Ask the same questions again and again, so many at a time; some of them unary."""

    def __init__(
        self, client: AsyncClient, questions: Sequence[Question], streams: int, seed: int
    ) -> None:
        self._client = client
        self._questions = questions
        self._streams = streams
        self._rng = random.Random(seed)
        self._is_over = False
        self.heard = Heard()

    async def run(self) -> None:
        """Until it is over; every reply that has begun is waited for."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._streams):
                group.create_task(self._ask_for_ever())

    def stop(self) -> None:
        self._is_over = True

    async def _ask_for_ever(self) -> None:
        while not self._is_over:
            question = self._rng.choice(self._questions)
            try:
                reply = await self._ask(question, is_unary=self._rng.random() < UNARY_SHARE)
            except LstmserveError as error:
                self.heard.lost[type(error).__name__] += 1
            else:
                self.heard.replies += 1
                self.heard.changed += bits_of(reply) != question.expected

    async def _ask(self, question: Question, *, is_unary: bool) -> Reply:
        if is_unary:
            return await self._client.reply(question.prompt, **question.options)
        stream = self._client.generate(question.prompt, **question.options)
        longest, before = Silence(0.0, 0.0), monotonic()
        async for _ in stream:
            now = monotonic()
            longest = max(longest, Silence(before, now), key=lambda each: each.seconds)
            before = now
        self.heard.silences.append(longest)
        self.heard.streamed += 1
        return await stream.reply()
