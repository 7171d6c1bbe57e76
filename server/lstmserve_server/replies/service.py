"""Replies from this process's cache, with an identical request, from Redis, or from the model.

All are the same reply; a caller can tell them apart by the time they take, and because it is told.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

import msgspec

from lstmserve_server.cache.entry_key import Kind, Owner
from lstmserve_server.cache.observer import CacheObserver
from lstmserve_server.cache.sketch import Sketch
from lstmserve_server.cache.stores import CacheStores, Tiers
from lstmserve_server.config import CacheConfig
from lstmserve_server.engine.output import Output
from lstmserve_server.engine.request import Claim
from lstmserve_server.errors import (
    CallerShareError,
    DeadlineError,
    LstmserveError,
    NotCachedError,
    NotServedError,
)
from lstmserve_server.replies.answering import begin_filling, own_reply
from lstmserve_server.replies.cached_reply import CachedReply, Replay
from lstmserve_server.replies.fill_in import fill_in
from lstmserve_server.replies.flight import Flight
from lstmserve_server.replies.kept import REPLIES, KeptReplies, NearReply
from lstmserve_server.replies.opener import ReplyOpener
from lstmserve_server.replies.prefix_states import STATES, PrefixStates
from lstmserve_server.replies.reply import BYPASSED, Outcome, Part, PartMaker, Provenance
from lstmserve_server.replies.request import CacheMode, Candidate, ReplyRequest, find_candidates
from lstmserve_server.store.served_model import ServedModel

Parts = AsyncGenerator[Part]


@dataclass(frozen=True, slots=True)
class Warmed:
    """What came of the replies that a request may get."""

    generated: int
    already_stored: int


class ReplyService:
    """Answers requests; used on one event loop."""

    def __init__(
        self,
        config: CacheConfig,
        stores: CacheStores,
        message_tokens: int,
        observer: CacheObserver,
    ) -> None:
        """``message_tokens`` is the size of a replayed stream's messages after the first."""
        replies = Tiers(REPLIES, stores.memory.get(Kind.REPLY), stores.redis, observer)
        states = Tiers(STATES, stores.memory.get(Kind.STATE), stores.redis, observer)
        sketch = Sketch(config.window_seconds, time.monotonic)
        self._config = config
        self._observer = observer
        self._kept = KeptReplies(replies, sketch, config.threshold, observer)
        prefix_states = PrefixStates(states, config.state_stride_tokens)
        self._opener = ReplyOpener(self._kept, prefix_states, message_tokens)
        self._message_tokens = message_tokens
        self._flights: dict[bytes, Flight] = {}  # replies in the making, by their keys

    def answer(self, asked: ReplyRequest, model: ServedModel) -> Parts:
        """Return the parts of the reply to one request; the caller closes them.

        They raise what the engine raises. Raises NotCachedError, at once or with the first
        part, when only a kept reply was wanted and none is kept.
        """
        understood = asked.understood
        maker = PartMaker(understood.outcome)
        if not understood.texts:
            parts, own = self._generated(asked, model, maker), None
        else:
            asked = replace(asked, generation=asked.with_own_seed())
            own = own_reply(understood, asked.generation, model.bundle)
            parts = self._own(own, asked, maker)
        if understood.values is None:
            return parts
        filling = begin_filling(understood.values, asked.generation, model.bundle, own)
        return fill_in(parts, filling)

    def count_choices(self, asked: ReplyRequest) -> int:
        """Return how many replies may answer a request that the cache may answer."""
        return 1 if asked.is_decided else self._config.variants

    def locate(self, asked: ReplyRequest, model: ServedModel, seed: int) -> NearReply | None:
        """Return where the reply with one of its seeds is kept in this process; counts nothing."""
        candidates = self._find_candidates(asked, model)
        found = (one for one in candidates if one.generation.sampling.seed == seed)
        candidate = next(found, None)
        return None if candidate is None else self._kept.locate(candidate)

    def find_again(self, near: NearReply) -> bool:
        """Return whether a kept reply is where it was: then it answers once more."""
        return self._kept.find_again(near)

    async def _own(self, reply: CachedReply, asked: ReplyRequest, maker: PartMaker) -> Parts:
        """Yield a reply in the version's own words."""
        provenance = Provenance(asked.understood.source)
        start = len(asked.generation.resume_ids)
        message_tokens = self._message_tokens if asked.is_streamed else None
        async for output in Replay(reply, start, message_tokens):
            yield maker.make(output, asked.generation, provenance)

    def _generated(self, asked: ReplyRequest, model: ServedModel, maker: PartMaker) -> Parts:
        """Return the parts of a reply that the model writes, with their gaps."""
        if self._is_bypassed(asked, model):
            return _bypass(asked, model, maker)
        candidates = self._find_candidates(asked, model)
        candidate = next(candidates)
        self._kept.count(candidate)
        if asked.mode is CacheMode.ONLY_IF_CACHED:
            return self._only_kept([candidate, *candidates], asked, maker)
        if asked.mode is CacheMode.REFRESH:
            return self._refresh(candidate, asked.claim, model, maker)
        near = self._kept.find_near(candidate)
        if near is not None:
            return self._near(candidate, near, asked, maker)
        if candidate.generation.resume_ids:  # nobody else wants just the rest of this reply
            return self._far_or_engine(candidate, asked.claim, model, maker)
        return self._join(candidate, asked, model, maker)  # and then far, and then the engine

    async def warm(self, asked: ReplyRequest, model: ServedModel) -> Warmed:
        """Keep all replies that a request may get, generating those that are not kept.

        Raises NotServedError when this server keeps none.
        """
        if not self._config.is_on:
            raise NotServedError("this server keeps no replies; start it with a cache")
        if asked.understood.texts:  # which are always there
            return Warmed(0, 0)
        generated = stored = 0
        for candidate in self._find_candidates(asked, model):
            if await self._kept.is_kept(candidate):
                stored += 1
                continue
            async with aclosing(self._refresh(candidate, asked.claim, model, PartMaker())) as parts:
                async for _ in parts:
                    pass
            generated += 1
        return Warmed(generated, stored)

    def _is_bypassed(self, asked: ReplyRequest, model: ServedModel) -> bool:
        if self._config.is_on and model.is_exact:
            return asked.mode is CacheMode.BYPASS
        if asked.mode is CacheMode.ONLY_IF_CACHED:
            who = "this server" if model.is_exact else "a version that is served inexact"
            raise NotCachedError(f"{who} keeps no replies; send the request without cache_mode")
        return True

    def _find_candidates(self, asked: ReplyRequest, model: ServedModel) -> Iterator[Candidate]:
        return find_candidates(asked, _owner(model, asked), self._config.variants)

    async def _only_kept(
        self, candidates: Sequence[Candidate], asked: ReplyRequest, maker: PartMaker
    ) -> Parts:
        found = await self._kept.find_any(candidates)
        if found is None:
            raise NotCachedError(
                "the reply is not in the cache; send the request without cache_mode to generate it"
            )
        async for part in self._near(*found, asked, maker):
            yield part

    async def _near(
        self, candidate: Candidate, reply: CachedReply, asked: ReplyRequest, maker: PartMaker
    ) -> Parts:
        opened = self._opener.replay(candidate, reply, is_streamed=asked.is_streamed)
        async for output in opened.outputs:
            yield maker.make(output, candidate.generation, opened.provenance)

    async def _refresh(
        self, candidate: Candidate, claim: Claim, model: ServedModel, maker: PartMaker
    ) -> Parts:
        made: list[Output] = []
        opened = await self._opener.generate(candidate, lambda: claim, model)
        async with aclosing(opened.outputs):
            async for output in opened.outputs:
                part = maker.make(output, candidate.generation, opened.provenance)
                made.append(part.output)
                if output.finish is not None and not candidate.generation.resume_ids:
                    self._kept.keep(candidate, made, model.bundle)
                yield part

    async def _far_or_engine(
        self, candidate: Candidate, claim: Claim, model: ServedModel, maker: PartMaker
    ) -> Parts:
        opened = await self._opener.open(candidate, lambda: claim, model)
        async with aclosing(opened.outputs):
            async for output in opened.outputs:
                yield maker.make(output, candidate.generation, opened.provenance)

    async def _join(
        self, candidate: Candidate, asked: ReplyRequest, model: ServedModel, maker: PartMaker
    ) -> Parts:
        """Yield the parts of a reply that others may be waiting for, too."""
        had: list[int] = []
        provenance = BYPASSED
        while not had:
            flight, is_first = self._board(candidate, asked, model)
            try:
                follow = flight.follow(asked.claim, is_streamed=asked.is_streamed)
                async with aclosing(follow) as outputs:
                    async for output in outputs:
                        had += output.token_ids
                        provenance = _seen_by(flight.opened.provenance, is_first=is_first)
                        yield maker.make(output, candidate.generation, provenance)
            except (DeadlineError, CallerShareError) as error:
                if is_first or not _spares(error, flight.started_with, asked.claim):
                    raise
            else:
                return
        # the first one's time was up just when this one, which has more, had joined
        rest = replace(candidate.generation, resume_ids=tuple(had))
        async with aclosing(model.engine.generate(rest, asked.claim, form=asked.form)) as outputs:
            async for output in outputs:
                yield maker.make(output, candidate.generation, provenance)

    def _board(
        self, candidate: Candidate, asked: ReplyRequest, model: ServedModel
    ) -> tuple[Flight, bool]:
        """Return the flight of a reply, and whether this request is its first."""
        flight = self._flights.get(candidate.key.digest)
        if flight is not None:
            self._observer.on_coalesced()
            return flight, False
        flight = self._flights[candidate.key.digest] = Flight(
            asked.claim,
            lambda claim: self._opener.open(candidate, claim, model),
            lambda outputs: self._land(candidate, outputs, model),
        )
        return flight, True

    def _land(self, candidate: Candidate, outputs: Sequence[Output], model: ServedModel) -> None:
        """Let nobody join any more: the reply is complete, or has no outputs and never will."""
        opening = self._flights.pop(candidate.key.digest)
        if not outputs or opening.opened.provenance.outcome is Outcome.HIT:
            return
        if self._kept.is_frequent(candidate, opening.opened.num_asked):
            self._kept.keep(candidate, outputs, model.bundle)


async def _bypass(asked: ReplyRequest, model: ServedModel, maker: PartMaker) -> Parts:
    """Yield the reply to one request from the engine, whatever others ask for."""
    generation = asked.with_own_seed()
    replying = model.engine.generate(generation, asked.claim, form=asked.form)
    async with aclosing(replying) as outputs:
        async for output in outputs:
            yield maker.make(output, generation, BYPASSED)


def _owner(model: ServedModel, asked: ReplyRequest) -> Owner:
    return Owner(model.name, model.version, model.manifest.digest, asked.scope, asked.tags)


def _seen_by(provenance: Provenance, *, is_first: bool) -> Provenance:
    """Return a reply's provenance as a request sees it: all but the first one joined it."""
    if is_first or provenance.outcome is not Outcome.MISS:
        return provenance
    return msgspec.structs.replace(provenance, outcome=Outcome.COALESCED)


def _spares(error: LstmserveError, first: Claim, other: Claim) -> bool:
    """Return whether the first request's failure says nothing about another request."""
    if isinstance(error, CallerShareError):
        return other.caller != first.caller
    return other.deadline > first.deadline
