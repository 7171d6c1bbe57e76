"""A reply that comes when the test says so."""

from __future__ import annotations

import asyncio

from lstmserve_server.engine.output import Finish, FinishReason, Output, Timings
from lstmserve_server.engine.request import Claim
from lstmserve_server.errors import LstmserveError


def token(number: int, *, is_last: bool = False) -> Output:
    """The output of one token, whose text is its number."""
    timings = Timings(0.1, 0.2, 0.3, 0.4, 0.5)
    finish = Finish(FinishReason.MAX_TOKENS, "", number + 1, timings) if is_last else None
    return Output(f"{number} ", [number], [], finish)


class ScriptedOutputs:
    """Gives outputs as they are put; remembers how it was treated."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Output | LstmserveError] = asyncio.Queue()
        self.claims: list[Claim] = []
        self.num_closed = 0
        self.num_untold = 0  # when it was closed last
        self.num_waiting = 0

    def put(self, *outputs: Output | LstmserveError) -> None:
        for output in outputs:
            self._queue.put_nowait(output)

    def __aiter__(self) -> ScriptedOutputs:
        return self

    async def __anext__(self) -> Output:
        self.num_waiting += 1
        assert self.num_waiting == 1, "two ask at once"
        try:
            output = await self._queue.get()
        finally:
            self.num_waiting -= 1
        if isinstance(output, LstmserveError):
            raise output
        return output

    async def aclose(self, num_untold: int = 0) -> None:
        self.num_closed += 1
        self.num_untold = num_untold

    def amend(self, claim: Claim) -> None:
        self.claims.append(claim)
