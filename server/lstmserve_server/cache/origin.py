"""Where a reply comes from that this process does not have: Redis, or the model."""

from __future__ import annotations

import time
from collections.abc import Callable

from lstmserve_server.cache.answer import Provenance
from lstmserve_server.cache.cached_reply import CachedReply
from lstmserve_server.cache.flight import Opened
from lstmserve_server.cache.outcome import Outcome
from lstmserve_server.cache.replay import Replay
from lstmserve_server.cache.reply_shelf import ReplyShelf
from lstmserve_server.cache.run import Run
from lstmserve_server.cache.state_cache import StateCache
from lstmserve_server.engine.claim import Claim

WhoseClaim = Callable[[], Claim]


class Origin:
    """Begins replies."""

    def __init__(self, shelf: ReplyShelf, states: StateCache, message_tokens: int) -> None:
        """``message_tokens``: of a replayed stream, but for its first message."""
        self._shelf = shelf
        self._states = states
        self._message_tokens = message_tokens

    async def open(self, run: Run, claim: WhoseClaim) -> Opened:
        """The reply from Redis if it is there, or else from the model."""
        began_at = time.perf_counter()
        reply = await self._shelf.find_far(run)
        if reply is not None:
            return self.replay(run, reply, is_streamed=True)  # others may want a stream
        return await self.generate(run, claim, time.perf_counter() - began_at)

    async def generate(self, run: Run, claim: WhoseClaim, waited_seconds: float = 0.0) -> Opened:
        """The reply from the model, which reads what is not known of the prompt."""
        ask, prompt_ids = run.ask, run.request.prompt_ids
        began_at = time.perf_counter()
        reply_starts = ask.bundle.template.reply_starts(prompt_ids)
        # who has waited for Redis in vain does not wait again
        reading, keep = await self._states.prepare(
            ask.owner, prompt_ids, reply_starts, is_far_asked=not run.is_redis_silent
        )
        outputs = ask.engine.generate(run.request, claim(), reading, keep)
        lookup_seconds = waited_seconds + time.perf_counter() - began_at
        return Opened(outputs, Provenance(Outcome.MISS, reading.num_known, lookup_seconds))

    def replay(self, run: Run, reply: CachedReply, *, is_streamed: bool) -> Opened:
        """A kept reply, after the tokens that the caller has."""
        message_tokens = self._message_tokens if is_streamed else None
        outputs = Replay(reply, len(run.request.resume_ids), message_tokens)
        return Opened(outputs, Provenance(Outcome.HIT, saved_seconds=reply.seconds))
