"""One generation for all who ask for the same reply at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from lstmserve_server.engine.outbox import merge
from lstmserve_server.engine.output import Output
from lstmserve_server.engine.request import Claim
from lstmserve_server.errors import LstmserveError
from lstmserve_server.replies.reply import Provenance


class Outputs(Protocol):
    """The outputs of one reply, the last of which has ``finish``; a step may be cancelled."""

    def __aiter__(self) -> AsyncIterator[Output]: ...

    async def __anext__(self) -> Output: ...

    async def aclose(self, num_untold: int = 0) -> None:
        """Leave the reply, after so many tokens that were taken here but delivered to nobody."""

    def amend(self, claim: Claim) -> None:
        """Let the reply have this claim from now on."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A reply that has begun."""

    outputs: Outputs
    provenance: Provenance
    num_asked: int = 0  # how often all servers were asked for it, as Redis counts


Opening = Callable[[Callable[[], Claim]], Coroutine[Any, Any, Opened]]
"""Begins the reply; the claim is asked for when it is needed, as others may have joined."""


class Flight:
    """A reply in the making, and all who follow it.

    Its outputs are kept, so that one who joins late gets them first. One follower at a time asks
    for more, so the fastest sets the pace. When one leaves, the others go on; when the last one
    leaves, the flight ends.
    """

    def __init__(
        self, claim: Claim, opening: Opening, on_end: Callable[[Sequence[Output]], None]
    ) -> None:
        """Call ``on_end`` with all outputs when the reply is complete, or none when it failed."""
        self._claim = claim
        self._on_end = on_end
        self._opening = asyncio.create_task(opening(lambda: self._claim))
        self._log: list[Output] = []
        self._num_told = 0  # outputs that anybody has got
        self._is_asked = False
        self._changed = asyncio.Event()  # a new one after each change
        self._waiting_for_end = asyncio.Lock()
        self._failure: LstmserveError | None = None
        self._num_followers = 0
        self.started_with = claim
        self.is_joinable = True

    @property
    def opened(self) -> Opened:
        """How it began; known once it has an output."""
        return self._opening.result()

    async def follow(self, claim: Claim, *, is_streamed: bool = True) -> AsyncGenerator[Output]:
        """Yield all outputs from the first on, or one when the reply is complete.

        Raises what the reply failed with.
        """
        if not is_streamed:
            yield await self.whole(claim)
            return
        self._join(claim)
        position = 0
        try:
            while True:
                while position == len(self._log):
                    await self._advance()
                output = merge(self._log[position:])
                position = len(self._log)
                self._num_told = max(self._num_told, position)
                yield output
                if output.finish is not None:
                    return
        finally:
            await self._leave()

    async def whole(self, claim: Claim) -> Output:
        """Return the complete reply in one piece; raise what it failed with."""
        self._join(claim)
        try:
            async with self._waiting_for_end:  # one of those who wait for the end sees to it
                while self.is_joinable:
                    await self._advance()
            if self._failure is not None:
                raise self._failure
            return merge(self._log)
        finally:
            await self._leave()

    def _join(self, claim: Claim) -> None:
        """Let the reply be as urgent as the most urgent of all, and wait for the last."""
        self._num_followers += 1
        urgent = min(self._claim.priority, claim.priority)
        latest = max(self._claim.deadline, claim.deadline)
        merged = Claim(self._claim.caller, urgent, latest)
        if merged != self._claim:
            self._claim = merged
            if self._has_opened:
                self.opened.outputs.amend(merged)

    async def _advance(self) -> None:
        """Ask for one more output, or wait until another follower has it or leaves."""
        if self._failure is not None:
            raise self._failure
        if self._is_asked:
            await self._changed.wait()
            return
        self._is_asked = True
        try:
            await self._ask()
        finally:
            self._is_asked = False
            self._changed.set()
            self._changed = asyncio.Event()

    async def _ask(self) -> None:
        try:
            opened = await asyncio.shield(self._opening)
            output = await anext(opened.outputs)
        except LstmserveError as error:
            self._failure = error
            self._end(())
            raise
        self._log.append(output)
        if output.finish is not None:
            self._end(self._log)

    async def _leave(self) -> None:
        self._num_followers -= 1
        if self._num_followers:
            return
        num_untold = self._num_untold
        if self.is_joinable:  # the last one leaves before the end
            self._end(())
        if not self._opening.cancel() and self._has_opened:
            await self.opened.outputs.aclose(num_untold)

    def _end(self, outputs: Sequence[Output]) -> None:
        self.is_joinable = False
        self._on_end(outputs)

    @property
    def _num_untold(self) -> int:
        """Tokens of an incomplete reply that no caller has got; a complete one may be kept."""
        if self._log and self._log[-1].finish is not None:
            return 0
        return sum(len(output.token_ids) for output in self._log[self._num_told :])

    @property
    def _has_opened(self) -> bool:
        task = self._opening
        return task.done() and not task.cancelled() and task.exception() is None
