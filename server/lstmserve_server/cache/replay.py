"""A kept reply as the outputs that it once was."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from lstmserve_server.cache.cached_reply import CachedReply
from lstmserve_server.engine.claim import Claim
from lstmserve_server.engine.output import Output, Timings

NO_TIME = Timings(0.0, 0.0, 0.0, 0.0, 0.0)  # nothing was generated


class Replay:
    """Iterates over a reply from a token on: the first alone, then as many as a busy engine
    puts into a message; or all at once.
    """

    def __init__(self, reply: CachedReply, start: int, message_tokens: int | None) -> None:
        """``start`` is below the number of tokens; without ``message_tokens`` all come at once."""
        self._outputs = _cut(reply, start, message_tokens)

    def __aiter__(self) -> Replay:
        return self

    async def __anext__(self) -> Output:
        output = next(self._outputs, None)
        if output is None:
            raise StopAsyncIteration
        return output

    async def aclose(self, num_untold: int = 0) -> None:
        """Nothing: a replay holds nothing."""

    def amend(self, claim: Claim) -> None:
        """Nothing: a replay waits for nobody."""


def _cut(reply: CachedReply, start: int, message_tokens: int | None) -> Iterator[Output]:
    num_tokens = len(reply.token_ids)
    end = start + 1 if message_tokens else num_tokens
    while end < num_tokens:
        yield reply.cut(start, end)
        start, end = end, end + (message_tokens or 0)
    yield replace(reply.cut(start, num_tokens), finish=reply.finish(NO_TIME))
