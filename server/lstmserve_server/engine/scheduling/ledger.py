"""Who has how much in the engine: the only place that counts sequences by stage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from lstmserve_server.engine.scheduling.sequence import Sequence, Stage


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
        """Those that have a place: they prefill or decode."""
        return self.stages[Stage.PREFILLING] + self.stages[Stage.RUNNING]

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
        """Return how many callers have something in the engine."""
        return len(self._callers)

    def of(self, caller: str) -> Holdings:
        """Return what a caller has; do not change it."""
        return self._callers.get(caller) or Holdings()

    def move(self, sequence: Sequence, stage: Stage) -> None:
        """Move a sequence to another stage."""
        caller = sequence.claim.caller
        own = self._callers.setdefault(caller, Holdings())
        for holdings in (self.all, own):
            holdings.count(sequence, -1)
        sequence.stage = stage
        for holdings in (self.all, own):
            holdings.count(sequence, 1)
        if own.is_empty:
            del self._callers[caller]


def find_preempted(first: Sequence, active: Iterable[Sequence]) -> Sequence | None:
    """Return whom to preempt for the one that is next; None for nobody.

    When another caller has several places, it is the newest sequence of the caller with most,
    among those of no higher priority.
    """
    others = [other for other in active if other.claim.priority >= first.claim.priority]
    places = Counter(other.claim.caller for other in others)
    if not places or max(places.values()) == 1:
        return None
    return max(others, key=lambda other: (places[other.claim.caller], other.id))
