"""Requests that come again byte for byte, while their replies are kept in this process.

What such a request says has been checked, read and looked up before, and its reply was written
out: none of that is done again. Whether the reply may still be sent, the cache is asked each time,
and whatever is counted, logged and limited is so as with any other request.

Of requests only digests are here, and of replies only what the cache keeps word for word, so
nothing that was filled in for a customer.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from hashlib import blake2b

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_bundle import Classification
from lstmserve_server.engine.output import Timings
from lstmserve_server.replies.kept import NearReply
from lstmserve_server.replies.reply import Outcome, Part
from lstmserve_server.rpc.call import (
    Call,
    CallObserver,
    RequestKey,
    RunningCall,
    Served,
    current_call,
)
from lstmserve_server.rpc.exchange import Exchange
from lstmserve_server.rpc.service import Service
from lstmserve_server.store.directives import VersionId

METHOD = "/lstmserve.v1.GenerationService/GenerateReply"
DIGEST_BYTES = 32  # as those of the cache
# what is longer takes so long to make or to send that this would be no gain
MAX_REQUEST_BYTES = 1 << 13
MAX_REPLY_BYTES = 1 << 12
MAX_REPLIES = 1024  # one of 64 tokens takes 2 KB here


@dataclass(frozen=True, slots=True)
class _Written:
    """A reply as it goes out, but for the id and the times of the call."""

    near: NearReply
    message: bytes
    served: Served
    saved_seconds: float


@dataclass(frozen=True, slots=True)
class _Known:
    """A request, and those of its replies that have been sent."""

    version: VersionId
    num_choices: int  # replies among which chance decides; one for most requests
    classification: Classification | None
    outcome: str
    written: dict[int, _Written] = field(default_factory=dict)  # by their seeds

    @property
    def is_whole(self) -> bool:
        """Whether all are here: if one were missing, the others would be sent too often."""
        return len(self.written) == self.num_choices

    def choose(self) -> _Written:
        """Return any of them."""
        if self.num_choices == 1:
            return next(iter(self.written.values()))
        return random.choice([*self.written.values()])  # noqa: S311 - as variants are drawn


class Repeats:
    """Answers them; used on one event loop."""

    def __init__(
        self, service: Service, observer: CallObserver, max_replies: int = MAX_REPLIES
    ) -> None:
        """Remember so many replies, those that were sent last."""
        self._catalog = service.catalog
        self._replies = service.replies
        self._is_per_caller = service.cache_config.is_per_caller
        self._is_on = not service.is_text_logged  # the log wants what a request says
        self._observer = observer
        self._max_replies = max_replies
        self._num_replies = 0
        self._known: dict[RequestKey, _Known] = {}  # what was used last stands last

    def answer(self, message: bytes) -> bytes | None:
        """Return the response to a request, if it is known and its reply is kept where it was.

        Raises UnavailableError while its version is being unloaded.
        """
        arrived_at = time.monotonic()
        if not self._is_on or len(message) > MAX_REQUEST_BYTES:
            return None
        running = current_call.get()
        key = running.key = self._make_key(message, running)
        known = self._known.get(key)
        if known is None or not known.is_whole:
            return None
        with self._catalog.find(known.version).gate.enter():
            written = known.choose()
            if not self._replies.find_again(written.near):
                self._forget(key)
                return None
            self._known[key] = self._known.pop(key)
            return self._send(known, written, running, arrived_at)

    def learn(self, exchange: Exchange, reply: pb.GenerateReplyResponse) -> None:
        """Remember the reply to the call that is being served, if it can be sent again."""
        key, part = current_call.get().key, exchange.last
        if key is None or part is None or not _can_repeat(part, reply):
            return
        asked, model, seed = exchange.asked, exchange.model, part.request.sampling.seed
        near = self._replies.locate(asked, model, seed)
        if near is None:
            return
        known = self._known.get(key) or _Known(
            (model.name, model.manifest.version),
            self._replies.count_choices(asked),
            asked.understood.classification,
            part.outcome.value,
        )
        self._forget(key)
        known.written[seed] = _Written(
            near, reply.SerializeToString(), exchange.sum_up(), part.saved_seconds
        )
        self._known[key] = known
        self._num_replies += len(known.written)
        while self._num_replies > self._max_replies:
            self._forget(next(iter(self._known)))

    def _make_key(self, message: bytes, running: RunningCall) -> RequestKey:
        """Return what decides the reply: with each switch of versions all keys are others."""
        identity = running.call.identity
        return (
            self._catalog.num_switches,
            blake2b(message, digest_size=DIGEST_BYTES).digest(),
            identity.cache_scope(is_per_caller=self._is_per_caller),
            identity.sticky if self._catalog.is_shared else "",
        )

    def _forget(self, key: RequestKey) -> None:
        known = self._known.pop(key, None)
        self._num_replies -= 0 if known is None else len(known.written)

    def _send(
        self, known: _Known, written: _Written, running: RunningCall, arrived_at: float
    ) -> bytes:
        """Write the response, and tell what a servicer tells."""
        served = written.served
        seconds = time.monotonic() - arrived_at
        timings = Timings(0.0, 0.0, 0.0, seconds, seconds, arrived_at)
        self._tell(known, written, running.call, timings)
        running.served = Served(
            served.model,
            served.version,
            served.prompt_tokens,
            served.generated_tokens,
            served.finish_reason,
            served.cache,
            timings=timings,
        )
        # a message of its own: one that is changed again and again never gives memory back
        reply = pb.GenerateReplyResponse.FromString(written.message)
        reply.started.request_id = running.call.request_id
        told = reply.completion.timings
        told.time_to_first_token_seconds = told.total_seconds = seconds
        return reply.SerializeToString()

    def _tell(self, known: _Known, written: _Written, call: Call, timings: Timings) -> None:
        model, version = written.served.model, written.served.version
        told = self._observer.on_accepted(call, model, version, written.served.prompt_tokens)
        found = known.classification
        if found is not None:
            self._observer.on_classified(model, version, found.label, found.probability)
        told.on_tokens(written.served.generated_tokens, written.served.cache)
        told.on_finished(timings, written.saved_seconds)
        if found is not None:
            told.on_outcome(known.outcome)


def _can_repeat(part: Part, reply: pb.GenerateReplyResponse) -> bool:
    is_kept = part.provenance.outcome is Outcome.HIT and not part.is_changed
    is_plain = not part.request.form_digest  # what keeps a form is counted where forms are
    return is_kept and is_plain and reply.ByteSize() <= MAX_REPLY_BYTES
