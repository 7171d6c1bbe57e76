"""Greedy requests, so that a prompt has one reply, and what came back, and when."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from itertools import count
from math import nan
from time import perf_counter

from benchmarks.load.dialect import STREAMED, to_request
from benchmarks.load.measure import Generator
from benchmarks.load.prompts import load_prompts
from benchmarks.load.reply import assemble
from benchmarks.load.transport import Metadata, Transport
from benchmarks.load.usage import MeasureError
from benchmarks.load.workload import GREEDY, Ask, CacheMode
from benchmarks.testbed.server import RunningServer
from lstmserve.v1 import generation_service_pb2 as pb

FRESH_WORDS = 6
LEAST_WORDS, MOST_WORDS = 4, 12
POLL_SECONDS = 0.005
PATIENCE_SECONDS = 60.0

_numbers = count()


def encode(prompt: str, tokens: int, cache_mode: CacheMode = CacheMode.DEFAULT) -> bytes:
    """A request for so many tokens, for both methods: their messages have the same fields."""
    ask = Ask(prompt, GREEDY, None, min_tokens=tokens, max_tokens=tokens, cache_mode=cache_mode)
    return to_request(ask).SerializeToString()


def make_fresh_prompt() -> str:
    """A prompt that no server of this run has seen: of about 16 tokens."""
    source = random.Random(next(_numbers))
    return f"where is my {' '.join(source.choices(_words(), k=FRESH_WORDS))}, please?"


def make_prompts(number: int, seed: int) -> list[str]:
    """So many different texts of the words that customers use."""
    source = random.Random(seed)
    found: dict[str, None] = {}
    while len(found) < number:
        words = source.choices(_words(), k=source.randint(LEAST_WORDS, MOST_WORDS))
        found[" ".join(words)] = None
    return [*found]


@cache
def _words() -> list[str]:
    """Without numbers: to the tokenizer of a model all of them may be the same."""
    words = {word.lower() for prompt in load_prompts() for word in prompt.split()}
    return sorted(word for word in words if word.isalpha())


@dataclass(frozen=True)
class Reply:
    """What came of one request."""

    path: str
    code: str
    details: str
    seconds: float
    first_seconds: float  # until the first message; nan without one
    messages: list[bytes]

    @property
    def outcome(self) -> str:
        """What the cache did, as the server tells: ``hit``, for example."""
        name = pb.CacheOutcome.Name(self._completion.cache)
        return name.removeprefix("CACHE_OUTCOME_").lower()

    @property
    def usage(self) -> pb.Usage:
        return self._completion.usage

    @property
    def content(self) -> tuple[str, tuple[int, ...], int]:
        """What is the same whenever the request is: text, tokens, why it ended."""
        whole = self.read()
        return whole.text, tuple(whole.token_ids), whole.completion.finish_reason

    def read(self) -> pb.GenerateReplyResponse:
        """The reply as one message."""
        if self.path == STREAMED:
            return assemble(self.messages)
        return pb.GenerateReplyResponse.FromString(self.messages[0])

    @property
    def _completion(self) -> pb.Completion:
        if self.path == STREAMED:
            return pb.GenerateResponse.FromString(self.messages[-1]).completion
        return pb.GenerateReplyResponse.FromString(self.messages[0]).completion


class Caller:
    """Asks one server."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def try_call(self, path: str, request: bytes, metadata: Metadata = ()) -> Reply:
        """The reply, whatever its code."""
        messages: list[bytes] = []
        first = nan

        def on_message(message: bytes) -> None:
            nonlocal first
            if not messages:
                first = perf_counter()
            messages.append(message)

        began = perf_counter()
        status = await self._transport.stream(path, request, on_message, metadata)
        ended = perf_counter()
        return Reply(path, status.code, status.details, ended - began, first - began, messages)

    async def call(self, path: str, request: bytes, metadata: Metadata = ()) -> Reply:
        """The reply; raises MeasureError where there is none."""
        reply = await self.try_call(path, request, metadata)
        if reply.code != "OK":
            raise MeasureError(f"{path}: {reply.code}: {reply.details}")
        return reply

    async def call_until_hit(self, path: str, request: bytes) -> None:
        """Ask until the reply comes from the cache: writes to Redis take their time."""
        ends_at = perf_counter() + PATIENCE_SECONDS
        while (await self.call(path, request)).outcome != "hit":
            if perf_counter() > ends_at:
                raise MeasureError("the same request again and again, and no hit")
            await asyncio.sleep(POLL_SECONDS)


@asynccontextmanager
async def connect(server: RunningServer, connections: int = 1) -> AsyncIterator[Caller]:
    transport = Generator(connections=connections).connect(server.target)
    try:
        yield Caller(transport)
    finally:
        await transport.close()


async def wait_until(condition: Callable[[], bool], what: str) -> float:
    """Seconds until something is so that a blocking look tells; raises MeasureError."""
    began = perf_counter()
    while not await asyncio.to_thread(condition):
        if perf_counter() - began > PATIENCE_SECONDS:
            raise MeasureError(f"not within {PATIENCE_SECONDS:.0f} s: {what}")
        await asyncio.sleep(POLL_SECONDS)
    return perf_counter() - began
