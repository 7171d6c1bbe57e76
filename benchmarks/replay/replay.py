"""Asks each request alone, then all of them again and again in ever new company."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from time import monotonic

from benchmarks.load.dialect import STREAMED
from benchmarks.load.reply import BrokenReplyError, assemble, describe_difference
from benchmarks.load.report import show_progress
from benchmarks.load.transport import Status, Transport
from benchmarks.load.usage import MeasureError
from benchmarks.replay.forms import is_kept
from benchmarks.replay.requests import form_of
from lstmserve.v1 import generation_service_pb2 as pb

MAX_EXAMPLES = 5
MAX_MESSAGES_BEFORE_CANCEL = 6
PAUSE_AFTER_FAILURE_SECONDS = 0.01


@dataclass
class Outcome:
    """What was counted."""

    compared: int = 0
    different: int = 0
    unkept: int = 0  # of the forms that were asked for
    tokens: int = 0
    cancelled: int = 0
    seconds: float = 0.0  # of the load, without the requests asked alone
    failed: dict[str, int] = field(default_factory=dict)
    examples: list[str] = field(default_factory=list)

    @property
    def num_failed(self) -> int:
        return sum(self.failed.values())

    @property
    def is_exact(self) -> bool:
        """Every reply came, kept its form, and was as it was alone."""
        return not (self.different or self.unkept or self.failed)

    def describe(self) -> Iterator[str]:
        """Say it, and give some examples of what is wrong."""
        yield (
            f"{self.compared:,} replies ({self.tokens:,} tokens) compared in "
            f"{self.seconds:,.0f} s ({self.tokens / self.seconds:,.0f} tokens/s), "
            f"beside {self.cancelled:,} cancelled: "
            f"{self.different} different, {self.unkept} that left their form, "
            f"{self.num_failed} failed"
        )
        yield from self.examples


async def replay(
    transport: Transport,
    requests: Sequence[pb.GenerateRequest],
    count: int,
    streams: int,
    seed: int,
) -> Outcome:
    """Ask each alone, then so many together, and show how far it is."""
    asked = Replay(transport, requests)
    with show_progress("alone", len(requests)) as on_progress:
        await asked.ask_alone(on_progress)
    with show_progress("together", count) as on_progress:
        await asked.ask_together(count, streams, seed, on_progress)
    await transport.close()
    return asked.outcome


class Replay:
    """Compares the replies of one server."""

    def __init__(self, transport: Transport, requests: Sequence[pb.GenerateRequest]) -> None:
        self._transport = transport
        self._forms = [form_of(request) for request in requests]
        self._requests = [request.SerializeToString() for request in requests]
        self._alone: list[bytes] = []
        self.outcome = Outcome()

    async def ask_alone(self, on_progress: Callable[[int], object]) -> None:
        """Ask one at a time; raises MeasureError where a request is refused or breaks."""
        for number, request in enumerate(self._requests):
            messages: list[bytes] = []
            status = await self._transport.stream(STREAMED, request, messages.append)
            if status.code != "OK":
                raise MeasureError(f"request {number}: {status.code}: {status.details}")
            self._alone.append(_to_bits(assemble(messages)))
            on_progress(number + 1)

    async def ask_together(
        self, count: int, streams: int, seed: int, on_progress: Callable[[int], object]
    ) -> None:
        """Ask so many, with so many streams, beside others that are cancelled."""
        started = monotonic()
        order = islice(shuffled_forever(len(self._requests), seed), count)
        cancellers = [
            asyncio.create_task(self._cancel_for_ever(random.Random(f"{seed}/{number}")))
            for number in range(max(1, streams // 8))
        ]
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(streams):
                    group.create_task(self._compare_all(order, on_progress))
        finally:
            for canceller in cancellers:
                canceller.cancel()
            await asyncio.gather(*cancellers, return_exceptions=True)
        self.outcome.seconds = monotonic() - started

    async def _compare_all(
        self, order: Iterator[int], on_progress: Callable[[int], object]
    ) -> None:
        for number in order:
            messages: list[bytes] = []
            status = await self._transport.stream(STREAMED, self._requests[number], messages.append)
            await self._compare(number, status, messages)
            on_progress(self.outcome.compared + self.outcome.num_failed)

    async def _compare(self, number: int, status: Status, messages: Sequence[bytes]) -> None:
        try:
            reply = assemble(messages) if status.code == "OK" else None
        except BrokenReplyError as error:
            reply, status = None, Status("INCOMPLETE", str(error))
        if reply is None:
            self.outcome.failed[status.code] = self.outcome.failed.get(status.code, 0) + 1
            self._note(f"request {number} failed: {status.code}: {status.details}")
            await asyncio.sleep(PAUSE_AFTER_FAILURE_SECONDS)
            return
        self.outcome.compared += 1
        self.outcome.tokens += len(reply.token_ids)
        form = self._forms[number]
        if form is not None and not is_kept(form, reply.text):
            self.outcome.unkept += 1
            self._note(f"request {number} has left its form: {reply.text[:200]!r}")
        if _to_bits(reply) != self._alone[number]:
            self.outcome.different += 1
            alone = pb.GenerateReplyResponse.FromString(self._alone[number])
            difference = describe_difference(alone, reply)
            self._note(f"request {number} differs: {difference}")

    def _note(self, example: str) -> None:
        if len(self.outcome.examples) < MAX_EXAMPLES:
            self.outcome.examples.append(example)

    async def _cancel_for_ever(self, source: random.Random) -> None:
        while True:
            request = source.choice(self._requests)
            await self._ask_and_cancel(request, source.randrange(MAX_MESSAGES_BEFORE_CANCEL))

    async def _ask_and_cancel(self, request: bytes, after_messages: int) -> None:
        enough, seen = asyncio.Event(), 0

        def on_message(_message: bytes) -> None:
            nonlocal seen
            seen += 1
            if seen > after_messages:
                enough.set()

        call = asyncio.ensure_future(self._transport.stream(STREAMED, request, on_message))
        call.add_done_callback(lambda _: enough.set())  # a short reply ends before
        try:
            await enough.wait()
        finally:
            self.outcome.cancelled += call.cancel()
            await asyncio.gather(call, return_exceptions=True)


def _to_bits(reply: pb.GenerateReplyResponse) -> bytes:
    return reply.SerializeToString(deterministic=True)


def shuffled_forever(size: int, seed: int) -> Iterator[int]:
    """All numbers below size in a new order, again and again."""
    source = random.Random(seed)
    while True:
        yield from source.sample(range(size), size)
