"""Replies from the cache, from an identical request in flight, or from the model.

All three are the same reply; a caller can tell them apart by the time they take, and because
it is told.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from lstmserve_server.cache.answer import Answer, Provenance
from lstmserve_server.cache.ask import Ask
from lstmserve_server.cache.cached_reply import CachedReply
from lstmserve_server.cache.flight import Flight, Opened
from lstmserve_server.cache.observer import CacheObserver
from lstmserve_server.cache.outcome import CacheMode, Outcome
from lstmserve_server.cache.replay import Replay
from lstmserve_server.cache.reply_shelf import ReplyShelf
from lstmserve_server.cache.run import Run, settle_alone, settle_runs
from lstmserve_server.cache.state_cache import StateCache
from lstmserve_server.engine.claim import Claim
from lstmserve_server.engine.output import Output
from lstmserve_server.errors import (
    CallerShareError,
    DeadlineError,
    LstmserveError,
    NotCachedError,
)


@dataclass(frozen=True, slots=True)
class Warmed:
    """What came of the replies that a request may get."""

    generated: int
    already_stored: int


class ReplyCache:
    """Answers requests; used on one event loop."""

    def __init__(
        self,
        shelf: ReplyShelf,
        states: StateCache,
        observer: CacheObserver,
        variants: int,
        message_tokens: int,
    ) -> None:
        """``variants``: of a sampled request without a seed; ``message_tokens``: of a replayed
        stream, but for its first message.
        """
        self._shelf = shelf
        self._states = states
        self._observer = observer
        self._variants = variants
        self._message_tokens = message_tokens
        self._flights: dict[bytes, Flight] = {}

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

    # --- by mode ---------------------------------------------------------------------

    def _cached_or_not(self, run: Run, answer: Answer) -> AsyncGenerator[Output]:
        reply = self._shelf.find_near(run)
        if reply is not None:
            return _tell(lambda: self._replay(run, reply), answer)
        if run.request.resume_ids:  # nobody else wants just the rest of this reply
            return self._alone(run, answer)
        return self._share(run, answer)

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
        opened = await self._generate(run, lambda: run.ask.claim, time.perf_counter())
        async with aclosing(_tell(lambda: opened, answer)) as outputs:
            async for output in outputs:
                made.append(output)
                if output.finish is not None and not run.request.resume_ids:
                    self._shelf.keep(run, made)
                yield output

    async def _alone(self, run: Run, answer: Answer) -> AsyncGenerator[Output]:
        opened = await self._open(run, lambda: run.ask.claim)
        async with aclosing(_tell(lambda: opened, answer)) as outputs:
            async for output in outputs:
                yield output

    async def _share(self, run: Run, answer: Answer) -> AsyncGenerator[Output]:
        """The outputs of a reply that others may be waiting for, too."""
        had: list[int] = []
        while not had:
            flight, is_first = self._join(run)
            try:
                async with aclosing(flight.follow(run.ask.claim)) as outputs:
                    async for output in outputs:
                        had += output.token_ids
                        answer.provenance = _seen_by(flight.opened.provenance, is_first=is_first)
                        yield answer.time(output)
            except (DeadlineError, CallerShareError) as error:
                if is_first or not _spares(error, flight.started_with, run.ask.claim):
                    raise
            else:
                return
        # the first one's time was up just when this one, which has more, had joined
        rest = replace(run.request, resume_ids=tuple(had))
        async with aclosing(run.ask.engine.generate(rest, run.ask.claim)) as outputs:
            async for output in outputs:
                yield answer.time(output)

    # --- together with others ----------------------------------------------------------

    def _join(self, run: Run) -> tuple[Flight, bool]:
        """The flight of a reply, and whether this request is its first."""
        flight = self._flights.get(run.key.digest)
        if flight is not None:
            self._observer.on_coalesced()
            return flight, False
        flight = self._flights[run.key.digest] = Flight(
            run.ask.claim,
            lambda claim: self._open(run, claim),
            lambda outputs: self._land(run, outputs),
        )
        return flight, True

    def _land(self, run: Run, outputs: Sequence[Output]) -> None:
        """Nobody can join any more: the reply is complete, or has no outputs and never will."""
        del self._flights[run.key.digest]
        if outputs:
            self._shelf.keep_if_frequent(run, outputs)

    # --- from where --------------------------------------------------------------------

    async def _open(self, run: Run, claim: Callable[[], Claim]) -> Opened:
        """Begin a reply that is not near."""
        started_at = time.perf_counter()
        reply = await self._shelf.find_far(run)
        if reply is not None:
            return self._replay(run, reply, is_shared=True)
        return await self._generate(run, claim, started_at)

    async def _generate(self, run: Run, claim: Callable[[], Claim], started_at: float) -> Opened:
        ask = run.ask
        prompt_ids = run.request.prompt_ids
        reply_starts = ask.bundle.template.reply_starts(prompt_ids)
        reading, keep = await self._states.prepare(ask.owner, prompt_ids, reply_starts)
        outputs = ask.engine.generate(run.request, claim(), reading, keep)
        lookup_seconds = time.perf_counter() - started_at
        return Opened(outputs, Provenance(Outcome.MISS, reading.num_known, lookup_seconds))

    def _replay(self, run: Run, reply: CachedReply, *, is_shared: bool = False) -> Opened:
        in_pieces = run.ask.is_streamed or is_shared  # others may want a stream
        message_tokens = self._message_tokens if in_pieces else None
        outputs = Replay(reply, len(run.request.resume_ids), message_tokens)
        return Opened(outputs, Provenance(Outcome.HIT, saved_seconds=reply.seconds))


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


def _seen_by(provenance: Provenance, *, is_first: bool) -> Provenance:
    """For all but the first, what the model makes is made for somebody else."""
    is_shared = provenance.outcome is Outcome.MISS and not is_first
    return replace(provenance, outcome=Outcome.COALESCED) if is_shared else provenance


def _spares(error: LstmserveError, first: Claim, other: Claim) -> bool:
    """Whether what the first request failed with says nothing about another one."""
    if isinstance(error, CallerShareError):
        return other.caller != first.caller
    return other.deadline > first.deadline
