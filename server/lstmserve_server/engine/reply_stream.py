"""One reply, as its reader holds it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from lstmserve_server.engine.outbox import Outbox
from lstmserve_server.engine.output import Output
from lstmserve_server.engine.request import Claim


class Replies(Protocol):
    """Makes the replies; calls for one that has ended do nothing."""

    def unpark(self, reply_id: int) -> None:
        """Let a reply go on, whose reader has caught up."""

    def amend(self, reply_id: int, claim: Claim) -> None:
        """Let the reply have this claim from now on."""

    def leave(self, reply_id: int, num_left: int) -> None:
        """Cancel a reply whose reader left, and count the tokens that it left behind."""


class ReplyStream(AsyncIterator[Output]):
    """The outputs of one reply, the last of which has ``finish``.

    A step that is cancelled loses nothing: the next one, of whichever task, goes on. Close it to
    leave early, which cancels the reply; one that nobody closes or reads to its end stays.
    """

    def __init__(self, reply_id: int, outbox: Outbox, replies: Replies) -> None:
        self._id = reply_id
        self._outbox = outbox
        self._replies = replies

    async def __anext__(self) -> Output:
        """Return the next output. Raises what ``Engine.submit`` does, and EngineDeadError."""
        output = await self._outbox.take()
        if output is None:
            raise StopAsyncIteration
        # the mark is older than what it was made for: with nothing left, all has been taken
        if self._outbox.is_parked and not self._outbox.num_tokens:
            self._outbox.is_parked = False
            self._replies.unpark(self._id)
        return output

    async def aclose(self, num_untold: int = 0) -> None:
        """Leave; a step that still waits ends, and so does every later one.

        ``num_untold`` of the tokens that were taken have reached nobody.
        """
        self._replies.leave(self._id, self._outbox.close() + num_untold)

    def amend(self, claim: Claim) -> None:
        """Let the reply have this deadline and priority from now on; its caller stays."""
        self._replies.amend(self._id, claim)
