"""What the engine has made for one reply and its reader has not taken yet."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from lstmserve_server.engine.output import Output
from lstmserve_server.engine.prefix import KnownState
from lstmserve_server.errors import LstmserveError

OnState = Callable[[int, bytes], None]
"""Given the state after so many tokens of the prompt; must be quick and must not raise."""


class Outbox:
    """Outputs wait here until they are enough for a message.

    A first token, the end, and what a parked reply has made are given at once; states of the
    prompt do not even wait for the reader.
    """

    def __init__(self, message_tokens: int, on_state: OnState | None = None) -> None:
        """So many tokens are enough for a message: those of a quantum."""
        self._message_tokens = message_tokens
        self._on_state = on_state
        self._outputs: deque[Output] = deque()
        self._error: LstmserveError | None = None
        self._filled = asyncio.Event()
        self.is_complete = False  # nothing more comes
        self.num_tokens = 0  # that are here
        self._is_begun = False  # the reader has taken something
        self.is_parked = False  # cleared by the reader

    def give_state(self, state: KnownState) -> None:
        """Give out a state of the prompt."""
        if self._on_state is not None:
            self._on_state(state.num_tokens, state.data)

    def put(self, result: Output | LstmserveError) -> None:
        """Add a further part, or the error that ends the reply."""
        if isinstance(result, LstmserveError):
            self._error = result
            self.is_complete = True
        else:
            self._outputs.append(result)
            self.num_tokens += len(result.token_ids)
            self.is_complete = result.finish is not None
        is_enough = self.num_tokens >= self._message_tokens or self.is_parked
        if not self._is_begun or is_enough or self.is_complete:
            self._filled.set()

    def park(self) -> None:
        """Mark the reply as parked, and give out all that is here."""
        self.is_parked = True
        self._filled.set()

    async def take(self) -> Output | None:
        """Wait for a message and return it; once all is taken, return None or raise the error.

        A cancelled wait loses nothing.
        """
        while not self._filled.is_set():  # again, when another reader was quicker
            await self._filled.wait()
        if not self._outputs:
            if self._error is not None:
                raise self._error
            return None
        taken = merge(list(self._outputs))
        self._outputs.clear()
        self._is_begun = True
        self.num_tokens -= len(taken.token_ids)
        if not self._outputs and not self.is_complete:
            self._filled.clear()
        return taken

    def close(self) -> int:
        """Take no more parts; return how many tokens are thrown away."""
        num_left, self.num_tokens = self.num_tokens, 0
        self._outputs.clear()
        self.is_complete = True
        self._filled.set()
        return num_left


def merge(outputs: list[Output]) -> Output:
    """Return several consecutive parts of a reply, at least one, as one."""
    if len(outputs) == 1:
        return outputs[0]
    return Output(
        "".join(output.text for output in outputs),
        [token_id for output in outputs for token_id in output.token_ids],
        [entry for output in outputs for entry in output.logprobs],
        outputs[-1].finish,
    )
