"""How one request is answered."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace

from lstmserve_server.cache.outcome import Outcome
from lstmserve_server.engine.output import Output, Timings
from lstmserve_server.engine.request import GenerationRequest

SHARED = (Outcome.HIT, Outcome.COALESCED)


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a reply comes from."""

    outcome: Outcome
    num_known: int = 0  # tokens of the prompt that were not read
    lookup_seconds: float = 0.0  # before the model was asked
    saved_seconds: float = 0.0  # of the model's work, where that is known from before


@dataclass(eq=False, slots=True)
class Answer:
    """The reply to one request, in the making."""

    request: GenerationRequest  # with the seed in force
    outputs: AsyncGenerator[Output] = field(init=False)  # the last has ``finish``; to be closed
    provenance: Provenance = Provenance(Outcome.BYPASS)  # final once there is an output
    saved_seconds: float = 0.0  # final at the end
    _arrived_at: float = field(default_factory=time.monotonic)  # the engines' clock
    _began_at: float = 0.0

    def time(self, output: Output) -> Output:
        """An output with this request's own times, and not those of the one it was made for."""
        now = time.monotonic()
        self._began_at = self._began_at or now
        if output.finish is None:
            return output
        made = output.finish.timings
        if self.provenance.outcome in SHARED:
            self.saved_seconds = self.provenance.saved_seconds or made.work_seconds
            first, total = self._began_at - self._arrived_at, now - self._arrived_at
            own = Timings(0.0, 0.0, 0.0, first, total, self._arrived_at)
        else:
            own = made.delayed(self.provenance.lookup_seconds)
        return replace(output, finish=replace(output.finish, timings=own))
