"""What the engine has made for one reply and its reader has not taken yet."""

from __future__ import annotations

import asyncio

from lstmserve_server.engine.output import Output, Result
from lstmserve_server.errors import LstmserveError


class Outbox:
    """Outputs pile up here while the reader is busy, and are taken all at once as one.

    How many tokens a message carries is decided here: as many as came since the last one.
    """

    def __init__(self) -> None:
        self._outputs: list[Output] = []
        self._error: LstmserveError | None = None
        self._filled = asyncio.Event()
        self.num_tokens = 0  # that nobody has taken
        self.is_parked = False  # whether the engine was told to wait for the reader

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
            self.num_tokens += len(result.token_ids)
        self._filled.set()

    async def take(self) -> Output:
        """Wait for something, and take all of it; raises the error once all is taken."""
        while not self._outputs:
            if self._error is not None:
                raise self._error
            self._filled.clear()
            await self._filled.wait()
        taken, self._outputs, self.num_tokens = merge(self._outputs), [], 0
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
