"""What the engine has made for one reply and its reader has not taken yet."""

from __future__ import annotations

import asyncio

from lstmserve_server.engine.output import Output, Result
from lstmserve_server.errors import LstmserveError


class Outbox:
    """Outputs pile up here while the reader is busy, and are taken all at once as one.

    How many tokens a message carries is decided here: as many as came since the last one.
    Touched by the event loop, but for what the engine's thread counts and decides.
    """

    def __init__(self) -> None:
        self._outputs: list[Output] = []
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

    def put(self, result: Result) -> None:
        """Add a further part, or the error that ends the reply."""
        if isinstance(result, LstmserveError):
            self._error = result
        else:
            self._outputs.append(result)
            self._num_put += len(result.token_ids)
        self._filled.set()

    async def take(self) -> Output:
        """Wait for something, and take all of it; raises the error once all is taken."""
        while not self._outputs:
            if self._error is not None:
                raise self._error
            self._filled.clear()
            await self._filled.wait()
        taken, self._outputs = merge(self._outputs), []
        self._num_taken = self._num_put
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
