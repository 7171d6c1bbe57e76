"""A reply as one caller gets it, part by part."""

from __future__ import annotations

import time
from enum import Enum

import msgspec

from lstmserve_server.engine.output import Finish, Output, Timings
from lstmserve_server.engine.request import GenerationRequest


class Outcome(Enum):
    """Where a reply came from."""

    BYPASS = "bypass"  # the model; the cache was not asked
    MISS = "miss"  # the model
    HIT = "hit"  # the cache
    COALESCED = "coalesced"  # the model, for another request
    ANSWERS = "answers"  # the version's own words for the label
    FALLBACK = "fallback"  # the version's own words for what it does not know

    @property
    def is_shared(self) -> bool:
        """Whether the model did not work on it for this request."""
        return self is not Outcome.BYPASS and self is not Outcome.MISS


class ReplyOutcome(Enum):
    """What a bot should make of a reply."""

    ANSWERED = "answered"
    UNSURE = "unsure"  # the version does not know what is asked, and says so
    HANDOVER = "handover"  # the version wants a person to take over


class Provenance(msgspec.Struct, frozen=True):
    """Where a reply comes from, and what that took; the same in all of its parts."""

    outcome: Outcome
    num_known: int = 0  # tokens of the prompt that needed no prefill
    lookup_seconds: float = 0.0  # before the model was asked
    saved_seconds: float = 0.0  # of the model's work, where that is known from before


BYPASSED = Provenance(Outcome.BYPASS)


class Part(msgspec.Struct, frozen=True):
    """A further part of a reply; the last one's output has ``finish``."""

    output: Output  # with this request's own times
    request: GenerationRequest  # with the seed in force
    provenance: Provenance
    saved_seconds: float = 0.0  # of the model's work; told with the last part
    outcome: ReplyOutcome = ReplyOutcome.ANSWERED
    is_changed: bool = False  # up to here the text is not the one that is kept

    @property
    def is_answer(self) -> bool:
        """Whether something is said to what was asked."""
        return self.outcome is not ReplyOutcome.UNSURE


class PartMaker:
    """Makes one request's parts of outputs that may have been made for another one."""

    def __init__(self, outcome: ReplyOutcome = ReplyOutcome.ANSWERED) -> None:
        self._outcome = outcome
        self._arrived_at = time.monotonic()  # the engines' clock
        self._began_at = 0.0

    def make(self, output: Output, request: GenerationRequest, provenance: Provenance) -> Part:
        """Return the next part, with this request's own times."""
        now = time.monotonic()
        self._began_at = self._began_at or now
        finish = output.finish
        if finish is None:
            return Part(output, request, provenance, outcome=self._outcome)
        made, saved_seconds = finish.timings, 0.0
        if provenance.outcome.is_shared:
            saved_seconds = provenance.saved_seconds or made.work_seconds
            first, total = self._began_at - self._arrived_at, now - self._arrived_at
            own = Timings(0.0, 0.0, 0.0, first, total, self._arrived_at)
        else:
            own = made.delayed(provenance.lookup_seconds)
        finish = Finish(finish.reason, finish.stop_sequence, finish.num_tokens, own)
        output = Output(output.text, output.token_ids, output.logprobs, finish)
        return Part(output, request, provenance, saved_seconds, self._outcome)
