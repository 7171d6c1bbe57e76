"""What the engine has made for one reply and its reader has not taken yet."""

from __future__ import annotations

import asyncio
from collections import deque

from lstmserve_server.engine.output import Output, Result
from lstmserve_server.errors import LstmserveError


class Outbox:
    """Outputs wait here until they are enough for a message.

    A first token, the end, and what a parked reply has made are given at once. Touched by
    the event loop, but for what the engine's thread counts and decides.
    """

    def __init__(self) -> None:
        self._outputs: deque[Output] = deque()
        self._message_tokens = 1
        self._error: LstmserveError | None = None
        self._filled = asyncio.Event()
        self._num_put = 0
        self._num_taken = 0  # read by the engine's thread
        self._num_made = 0  # the engine's thread alone
        self.is_parked = False  # set by the engine's thread, cleared by the reader

    @property
    def num_tokens(self) -> int:
        """How many tokens are here."""
        return self._num_put - self._num_taken

    def count_made(self, tokens: int) -> int:
        """The engine made further tokens; how many it has made ahead of the reader."""
        self._num_made += tokens
        return self._num_made - self._num_taken

    @property
    def is_complete(self) -> bool:
        """Whether nothing more comes."""
        return self._error is not None or (
            bool(self._outputs) and self._outputs[-1].finish is not None
        )

    def put(self, result: Result, message_tokens: int = 1) -> None:
        """Add a further part, or the error that ends the reply.

        From now on so many tokens are enough for a message.
        """
        self._message_tokens = message_tokens
        if isinstance(result, LstmserveError):
            self._error = result
        else:
            self._outputs.append(result)
            self._num_put += len(result.token_ids)
        is_first = not self._num_taken
        is_enough = self.num_tokens >= message_tokens or self.is_parked
        if is_first or is_enough or self.is_complete:
            self._filled.set()

    async def take(self) -> Output:
        """Wait for a message, and take it; raises the error once all is taken."""
        await self._filled.wait()
        if self._error is not None and not self._outputs:
            raise self._error
        taken = self._cut()
        self._num_taken += len(taken.token_ids)
        if not self._outputs and self._error is None:
            self._filled.clear()
        return taken

    def _cut(self) -> Output:
        """All that are here, or one while a message carries one token and the reader keeps up."""
        if self._message_tokens == 1 and not self.is_parked:
            return self._outputs.popleft()
        taken = merge(list(self._outputs))
        self._outputs.clear()
        return taken


def merge(outputs: list[Output]) -> Output:
    """Several consecutive parts of a reply as one; at least one."""
    if len(outputs) == 1:
        return outputs[0]
    return Output(
        "".join(output.text for output in outputs),
        [token_id for output in outputs for token_id in output.token_ids],
        [entry for output in outputs for entry in output.logprobs],
        outputs[-1].finish,
    )
