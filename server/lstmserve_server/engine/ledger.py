"""Who has how much in the engine: the only place that counts sequences by stage."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from lstmserve_server.engine.sequence import Sequence, Stage


@dataclass(slots=True)
class Holdings:
    """What one caller has in the engine, or all together."""

    stages: Counter[Stage] = field(default_factory=Counter)
    waiting_tokens: int = 0

    @property
    def num_waiting(self) -> int:
        return self.stages[Stage.WAITING]

    @property
    def num_active(self) -> int:
        """Those that have a place: they read their prompt or decode."""
        return self.stages[Stage.READING] + self.stages[Stage.RUNNING]

    @property
    def num_aside(self) -> int:
        """Those that had a place and will have one again."""
        return self.stages[Stage.PARKED] + self.stages[Stage.RETURNING]

    @property
    def is_empty(self) -> bool:
        return not self.stages.total()

    def count(self, sequence: Sequence, amount: int) -> None:
        """Count a sequence in (1) or out (-1) at its stage."""
        if sequence.stage is Stage.NONE:
            return
        self.stages[sequence.stage] += amount
        if sequence.stage is Stage.WAITING:
            self.waiting_tokens += amount * sequence.cost


class Ledger:
    """Keeps holdings as sequences go from stage to stage; callers without any are forgotten."""

    def __init__(self) -> None:
        self.all = Holdings()
        self._callers: dict[str, Holdings] = {}

    def __len__(self) -> int:
        """How many callers have something in the engine."""
        return len(self._callers)

    def of(self, caller: str) -> Holdings:
        """What a caller has; to be read only."""
        return self._callers.get(caller) or Holdings()

    def move(self, sequence: Sequence, stage: Stage) -> None:
        """Let a sequence be at another stage."""
        caller = sequence.claim.caller
        own = self._callers.setdefault(caller, Holdings())
        for holdings in (self.all, own):
            holdings.count(sequence, -1)
        sequence.stage = stage
        for holdings in (self.all, own):
            holdings.count(sequence, 1)
        if own.is_empty:
            del self._callers[caller]
