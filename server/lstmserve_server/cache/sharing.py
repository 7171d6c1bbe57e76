"""Identical requests at the same time get one reply together."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from lstmserve_server.cache.answer import Answer, Provenance
from lstmserve_server.cache.flight import Flight
from lstmserve_server.cache.observer import CacheObserver
from lstmserve_server.cache.origin import Origin
from lstmserve_server.cache.outcome import Outcome
from lstmserve_server.cache.reply_shelf import ReplyShelf
from lstmserve_server.cache.run import Run
from lstmserve_server.engine.claim import Claim
from lstmserve_server.engine.output import Output
from lstmserve_server.errors import CallerShareError, DeadlineError, LstmserveError


class Sharing:
    """The replies in the making, by their keys."""

    def __init__(self, origin: Origin, shelf: ReplyShelf, observer: CacheObserver) -> None:
        self._origin = origin
        self._shelf = shelf
        self._observer = observer
        self._flights: dict[bytes, Flight] = {}

    async def follow(self, run: Run, answer: Answer) -> AsyncGenerator[Output]:
        """The outputs of a reply that others may be waiting for, too."""
        had: list[int] = []
        while not had:
            flight, is_first = self._join(run)
            try:
                async with aclosing(_outputs(flight, run)) as outputs:
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

    def _join(self, run: Run) -> tuple[Flight, bool]:
        """The flight of a reply, and whether this request is its first."""
        flight = self._flights.get(run.key.digest)
        if flight is not None:
            self._observer.on_coalesced()
            return flight, False
        flight = self._flights[run.key.digest] = Flight(
            run.ask.claim,
            lambda claim: self._origin.open(run, claim),
            lambda outputs: self._land(run, outputs),
        )
        return flight, True

    def _land(self, run: Run, outputs: Sequence[Output]) -> None:
        """Nobody can join any more: the reply is complete, or has no outputs and never will."""
        del self._flights[run.key.digest]
        if outputs:
            self._shelf.keep_if_frequent(run, outputs)


async def _outputs(flight: Flight, run: Run) -> AsyncGenerator[Output]:
    """As they come, or all at the end for a caller who cannot do with less."""
    if not run.ask.is_streamed:
        yield await flight.whole(run.ask.claim)
        return
    async with aclosing(flight.follow(run.ask.claim)) as outputs:
        async for output in outputs:
            yield output


def _seen_by(provenance: Provenance, *, is_first: bool) -> Provenance:
    """For all but the first, what the model makes is made for somebody else."""
    is_shared = provenance.outcome is Outcome.MISS and not is_first
    return replace(provenance, outcome=Outcome.COALESCED) if is_shared else provenance


def _spares(error: LstmserveError, first: Claim, other: Claim) -> bool:
    """Whether what the first request failed with says nothing about another one."""
    if isinstance(error, CallerShareError):
        return other.caller != first.caller
    return other.deadline > first.deadline
