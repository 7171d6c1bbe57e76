"""Callers who never stop, and who know what they must be told."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic

from benchmarks.endurance.replies import Question, bits_of
from lstmserve_client import AsyncClient, LstmserveError, Reply


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
    """What all callers got so far."""

    replies: int = 0
    streamed: int = 0
    tokens: int = 0
    changed: int = 0
    lost: Counter[str] = field(default_factory=Counter)  # by error class
    versions: set[str] = field(default_factory=set)
    silences: list[Silence] = field(default_factory=list)  # one for each streamed reply

    def rate_since(self, tokens: int, began_at: float) -> float:
        """Return the tokens per second since there were so many."""
        return (self.tokens - tokens) / (monotonic() - began_at)


class Callers:
    """Ask the same questions again and again, so many at a time; some of them unary."""

    def __init__(
        self,
        client: AsyncClient,
        questions: Sequence[Question],
        streams: int,
        *,
        seed: int = 0,
        unary_share: float = 0.0,
        bits: Callable[[Reply], Reply] = bits_of,
    ) -> None:
        """``bits`` is what of a reply must be as expected."""
        self._client = client
        self._questions = questions
        self._streams = streams
        self._rng = random.Random(seed)
        self._unary_share = unary_share
        self._bits = bits
        self._is_over = False
        self.heard = Heard()

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[None]:
        """Ask for as long as the block takes; every reply that has begun is waited for."""
        asking = asyncio.gather(*(self._ask_for_ever() for _ in range(self._streams)))
        try:
            yield
        finally:
            self._is_over = True
            await asking

    async def _ask_for_ever(self) -> None:
        while not self._is_over:
            question = self._rng.choice(self._questions)
            try:
                reply = await self._ask(question, is_unary=self._rng.random() < self._unary_share)
            except LstmserveError as error:
                self.heard.lost[type(error).__name__] += 1
            else:
                self.heard.replies += 1
                self.heard.tokens += len(reply.token_ids)
                self.heard.versions.add(reply.started.model_version)
                self.heard.changed += self._bits(reply) != self._bits(question.expected)

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
