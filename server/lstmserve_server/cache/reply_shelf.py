"""Which replies are kept, and which of them answer a request."""

from __future__ import annotations

from collections.abc import Sequence

from lstmserve_server.cache.cached_reply import CachedReply, decode_reply, encode_reply, gather
from lstmserve_server.cache.entry_key import Kind
from lstmserve_server.cache.observer import CacheObserver, Problem
from lstmserve_server.cache.run import Run
from lstmserve_server.cache.shelf import Codec, Shelf
from lstmserve_server.cache.sketch import Sketch
from lstmserve_server.engine.output import Output
from lstmserve_server.engine.stopping import ReplyText

REPLIES: Codec[CachedReply] = Codec(encode_reply, decode_reply)


class ReplyShelf:
    """Keeps a reply once it is complete, if it has been asked for often enough by then."""

    def __init__(
        self, shelf: Shelf[CachedReply], sketch: Sketch, threshold: int, observer: CacheObserver
    ) -> None:
        self._shelf = shelf
        self._sketch = sketch
        self._threshold = threshold
        self._observer = observer

    def count(self, run: Run) -> None:
        """It is asked for once more."""
        self._sketch.add(run.counted)

    def find_near(self, run: Run) -> CachedReply | None:
        """The reply, if this process has it."""
        return _fitting(self._shelf.find_near(run.key), run)

    async def find_far(self, run: Run) -> CachedReply | None:
        """The reply, if Redis has it; learns how often all servers were asked for it."""
        found = await self._shelf.find_far(run.key, run.counted)
        run.num_asked_far = found.count
        run.is_stored = found.entry is not None
        run.is_redis_silent = not found.is_answered
        return _fitting(found.entry, run)

    async def find_any(self, runs: Sequence[Run]) -> tuple[Run, CachedReply] | None:
        """Any of several replies of one question that is kept; counts nothing."""
        keys = [run.key for run in runs]
        found = self._shelf.find_first_near(keys) or await self._shelf.find_first_far(keys)
        if found is None:
            return None
        run, reply = runs[found[0]], _fitting(found[1], runs[found[0]])
        return None if reply is None else (run, reply)

    async def is_kept(self, run: Run) -> bool:
        """Whether the reply is wherever replies are kept; counts nothing."""
        return await self._shelf.is_kept(run.key)

    def keep_if_frequent(self, run: Run, outputs: Sequence[Output]) -> None:
        """Keep a complete reply, unless it is kept or rarely asked for."""
        num_asked = max(self._sketch.count(run.counted), run.num_asked_far)
        if num_asked >= self._threshold and not run.is_stored:
            self.keep(run, outputs)

    def keep(self, run: Run, outputs: Sequence[Output]) -> None:
        """Keep a complete reply, from its first token on."""
        request, bundle = run.request, run.ask.bundle
        text = ReplyText(
            bundle.tokenizer, bundle.template.end_id, request.max_tokens, request.stop_sequences
        )
        reply = gather(outputs, text)
        if reply is None:
            self._observer.on_problem(Kind.REPLY, Problem.OTHER)
            return
        self._shelf.keep(run.key, reply)
        run.is_stored = True


def _fitting(reply: CachedReply | None, run: Run) -> CachedReply | None:
    """The reply, unless it does not go on after the tokens that the caller has."""
    had = run.request.resume_ids
    if reply is None or len(had) >= len(reply.token_ids) or reply.token_ids[: len(had)] != had:
        return None
    return reply
