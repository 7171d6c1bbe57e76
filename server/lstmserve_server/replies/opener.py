"""Opens replies that this process does not have: from Redis, or by the engine."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from lstmserve_server.engine.request import Claim
from lstmserve_server.replies.cached_reply import CachedReply, Replay
from lstmserve_server.replies.flight import Opened
from lstmserve_server.replies.kept import KeptReplies
from lstmserve_server.replies.prefix_states import PrefixStates
from lstmserve_server.replies.reply import Outcome, Provenance
from lstmserve_server.replies.request import Candidate
from lstmserve_server.store.served_model import ServedModel

WhoseClaim = Callable[[], Claim]


class ReplyOpener:
    """Opens replies."""

    def __init__(self, kept: KeptReplies, states: PrefixStates, message_tokens: int) -> None:
        """``message_tokens`` is the size of a replayed stream's messages after the first."""
        self._kept = kept
        self._states = states
        self._message_tokens = message_tokens

    async def open(self, candidate: Candidate, claim: WhoseClaim, model: ServedModel) -> Opened:
        """Begin a reply that is not near: from Redis if it is there, or else by the engine."""
        began_at = time.perf_counter()
        far = await self._kept.find_far(candidate)
        if far.entry is not None:
            return self.replay(candidate, far.entry, is_streamed=True)  # others may want a stream
        # who has waited for Redis in vain does not wait again
        opened = await self.generate(
            candidate, claim, model, began_at, is_far_asked=far.is_answered
        )
        return replace(opened, num_asked=far.count)

    async def generate(
        self,
        candidate: Candidate,
        claim: WhoseClaim,
        model: ServedModel,
        began_at: float | None = None,
        *,
        is_far_asked: bool = True,
    ) -> Opened:
        """Begin a reply by the engine, which prefills what is not known of the prompt."""
        began_at = time.perf_counter() if began_at is None else began_at
        prompt_ids = candidate.generation.prompt_ids
        reply_starts = model.bundle.template.reply_starts(prompt_ids)
        states, keep = await self._states.prepare(
            candidate.key.owner,
            prompt_ids,
            reply_starts,
            model.engine.row_bytes,
            is_far_asked=is_far_asked,
        )
        outputs = model.engine.generate(candidate.generation, claim(), states, keep, candidate.form)
        seconds = time.perf_counter() - began_at
        return Opened(outputs, Provenance(Outcome.MISS, states.num_known, seconds))

    def replay(self, candidate: Candidate, reply: CachedReply, *, is_streamed: bool) -> Opened:
        """Begin a kept reply, after the tokens that the caller has."""
        message_tokens = self._message_tokens if is_streamed else None
        outputs = Replay(reply, len(candidate.generation.resume_ids), message_tokens)
        return Opened(outputs, Provenance(Outcome.HIT, saved_seconds=reply.seconds))
