"""Which replies are kept, and which of them answer a request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lstmserve_bundle import Bundle
from lstmserve_server.cache.entry_key import EntryKey, Kind
from lstmserve_server.cache.observer import CacheObserver, Problem
from lstmserve_server.cache.sketch import Sketch
from lstmserve_server.cache.stores import Codec, Counted, Tiers
from lstmserve_server.engine.output import Output
from lstmserve_server.engine.reply_text import ReplyText
from lstmserve_server.replies.cached_reply import (
    CachedReply,
    decode_reply,
    encode_reply,
    gather,
)
from lstmserve_server.replies.request import Candidate

REPLIES: Codec[CachedReply] = Codec(encode_reply, decode_reply)


@dataclass(frozen=True, slots=True)
class NearReply:
    """A reply that this process keeps, for as long as that entry is there."""

    key: EntryKey
    counted: bytes  # what its frequency is counted by
    entry: bytes  # the very object in the store


class KeptReplies:
    """Keeps a reply once it is complete, if it has been asked for often enough by then."""

    def __init__(
        self, tiers: Tiers[CachedReply], sketch: Sketch, threshold: int, observer: CacheObserver
    ) -> None:
        self._tiers = tiers
        self._sketch = sketch
        self._threshold = threshold
        self._observer = observer

    def count(self, candidate: Candidate) -> None:
        """Note that it is asked for once more."""
        self._sketch.add(candidate.counted)

    def find_near(self, candidate: Candidate) -> CachedReply | None:
        """Return the reply, if this process has it."""
        return _fitting(self._tiers.find_near(candidate.key), candidate)

    def locate(self, candidate: Candidate) -> NearReply | None:
        """Return where the reply is, if this process has it; counts nothing."""
        entry = self._tiers.peek_near(candidate.key)
        return None if entry is None else NearReply(candidate.key, candidate.counted, entry)

    def find_again(self, near: NearReply) -> bool:
        """Return whether a reply is where it was. If it is, that was a request for it."""
        is_there = self._tiers.find_again(near.key, near.entry)
        if is_there:
            self._sketch.add(near.counted)
        return is_there

    async def find_far(self, candidate: Candidate) -> Counted[CachedReply]:
        """Return the reply, if Redis has it, and how often all servers were asked for it."""
        found = await self._tiers.find_far(candidate.key, candidate.counted)
        return Counted(_fitting(found.entry, candidate), found.count, found.is_answered)

    async def find_any(
        self, candidates: Sequence[Candidate]
    ) -> tuple[Candidate, CachedReply] | None:
        """Return any of several replies to one question that is kept; counts nothing."""
        keys = [candidate.key for candidate in candidates]
        found = self._tiers.find_first_near(keys) or await self._tiers.find_first_far(keys)
        if found is None:
            return None
        candidate = candidates[found[0]]
        reply = _fitting(found[1], candidate)
        return None if reply is None else (candidate, reply)

    async def is_kept(self, candidate: Candidate) -> bool:
        """Return whether the reply is wherever replies are kept; counts nothing."""
        return await self._tiers.is_kept(candidate.key)

    def is_frequent(self, candidate: Candidate, num_asked_far: int) -> bool:
        """Return whether it is asked for often enough to be kept, here or by all servers."""
        return max(self._sketch.count(candidate.counted), num_asked_far) >= self._threshold

    def keep(self, candidate: Candidate, outputs: Sequence[Output], bundle: Bundle) -> None:
        """Keep a complete reply, from its first token on."""
        request = candidate.generation
        text = ReplyText(
            bundle.tokenizer,
            bundle.template.end_id,
            request.max_tokens,
            request.stop_sequences,
            candidate.form,
        )
        reply = gather(outputs, text)
        if reply is None:
            self._observer.on_problem(Kind.REPLY, Problem.OTHER)
            return
        self._tiers.keep(candidate.key, reply)


def _fitting(reply: CachedReply | None, candidate: Candidate) -> CachedReply | None:
    """Return the reply, unless it does not go on after the tokens that the caller has."""
    had = candidate.generation.resume_ids
    if reply is None or len(had) >= len(reply.token_ids) or reply.token_ids[: len(had)] != had:
        return None
    return reply
