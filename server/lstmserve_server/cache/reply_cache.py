"""Replies from the cache, from an identical request in flight, or from the model.

All three are the same reply; a caller can tell them apart by the time they take, and because
it is told.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from lstmserve_server.cache.answer import Answer, Provenance
from lstmserve_server.cache.ask import Ask
from lstmserve_server.cache.cached_reply import CachedReply
from lstmserve_server.cache.flight import Opened
from lstmserve_server.cache.origin import Origin
from lstmserve_server.cache.outcome import CacheMode, Outcome
from lstmserve_server.cache.reply_shelf import ReplyShelf
from lstmserve_server.cache.run import Run, settle_alone, settle_runs
from lstmserve_server.cache.sharing import Sharing
from lstmserve_server.engine.output import Output
from lstmserve_server.errors import NotCachedError


@dataclass(frozen=True, slots=True)
class Warmed:
    """What came of the replies that a request may get."""

    generated: int
    already_stored: int


class ReplyCache:
    """Answers requests; used on one event loop."""

    def __init__(self, shelf: ReplyShelf, origin: Origin, sharing: Sharing, variants: int) -> None:
        """``variants``: of a sampled request without a seed."""
        self._shelf = shelf
        self._origin = origin
        self._sharing = sharing
        self._variants = variants

    def answer(self, ask: Ask) -> Answer:
        """The reply to one request. Its outputs raise what the engine raises, or
        NotCachedError when only a cached reply was wanted.
        """
        if ask.mode is CacheMode.BYPASS:
            return answer_alone(ask)
        runs = settle_runs(ask, self._variants)
        run = next(runs)
        answer = Answer(run.request)
        self._shelf.count(run)
        match ask.mode:
            case CacheMode.ONLY_IF_CACHED:
                answer.outputs = self._only_cached([run, *runs], answer)
            case CacheMode.REFRESH:
                answer.outputs = self._anew(run, answer)
            case _:
                answer.outputs = self._cached_or_not(run, answer)
        return answer

    async def warm(self, ask: Ask) -> Warmed:
        """Keep all replies that a request may get, generating those that are not kept."""
        generated = stored = 0
        for run in settle_runs(ask, self._variants):
            if await self._shelf.is_kept(run):
                stored += 1
                continue
            async with aclosing(self._anew(run, Answer(run.request))) as outputs:
                async for _ in outputs:
                    pass
            generated += 1
        return Warmed(generated, stored)

    def _cached_or_not(self, run: Run, answer: Answer) -> AsyncGenerator[Output]:
        reply = self._shelf.find_near(run)
        if reply is not None:
            return _tell(lambda: self._replay(run, reply), answer)
        if run.request.resume_ids:  # nobody else wants just the rest of this reply
            return self._alone(run, answer)
        return self._sharing.follow(run, answer)

    async def _only_cached(self, runs: Sequence[Run], answer: Answer) -> AsyncGenerator[Output]:
        found = await self._shelf.find_any(runs)
        if found is None:
            raise NotCachedError(
                "this reply is not in the cache; without cache_mode it is generated"
            )
        run, reply = found
        answer.request = run.request
        async for output in _tell(lambda: self._replay(run, reply), answer):
            yield output

    async def _anew(self, run: Run, answer: Answer) -> AsyncGenerator[Output]:
        made: list[Output] = []
        opened = await self._origin.generate(run, lambda: run.ask.claim)
        async with aclosing(_tell(lambda: opened, answer)) as outputs:
            async for output in outputs:
                made.append(output)
                if output.finish is not None and not run.request.resume_ids:
                    self._shelf.keep(run, made)
                yield output

    async def _alone(self, run: Run, answer: Answer) -> AsyncGenerator[Output]:
        opened = await self._origin.open(run, lambda: run.ask.claim)
        async with aclosing(_tell(lambda: opened, answer)) as outputs:
            async for output in outputs:
                yield output

    def _replay(self, run: Run, reply: CachedReply) -> Opened:
        return self._origin.replay(run, reply, is_streamed=run.ask.is_streamed)


def answer_alone(ask: Ask) -> Answer:
    """The reply to one request from the model, whatever others ask for."""
    answer = Answer(settle_alone(ask))

    def begin() -> Opened:
        outputs = ask.engine.generate(answer.request, ask.claim)
        return Opened(outputs, Provenance(Outcome.BYPASS))

    answer.outputs = _tell(begin, answer)
    return answer


async def _tell(begin: Callable[[], Opened], answer: Answer) -> AsyncGenerator[Output]:
    """The outputs of a reply that nobody shares; it begins when the first is asked for."""
    opened = begin()
    answer.provenance = opened.provenance
    async with aclosing(opened.outputs) as outputs:
        async for output in outputs:
            yield answer.time(output)
