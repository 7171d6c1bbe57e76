"""The order in which what waits has its turn: sequences, to start.

Tokens are shared twice, by start-time fair queueing: between the priorities 64 : 8 : 1, so
that LOW is slow under load and never starved, and within a priority equally between callers.
Within one caller and priority, who came first goes first. A sequence costs what it may take:
prompt tokens and max_tokens.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from lstmserve_server.engine.request import Claim, Priority
from lstmserve_server.engine.scheduling.turns import Turns


class Waiting(Protocol):
    """What has a turn; no two of them are equal."""

    @property
    def claim(self) -> Claim: ...

    @property
    def cost(self) -> int:
        """Tokens, or whatever else all of one queue are measured in."""


Item = TypeVar("Item", bound=Waiting)

# tokens that a priority starts while all three have sequences waiting
SHARES = {Priority.HIGH: 64, Priority.NORMAL: 8, Priority.LOW: 1}


@dataclass(slots=True)
class _Line(Generic[Item]):
    """What one caller has waiting at one priority, oldest first."""

    sequences: OrderedDict[Item, None] = field(default_factory=OrderedDict)
    tokens: int = 0


@dataclass(slots=True)
class _Level(Generic[Item]):
    """What waits at one priority."""

    turns: Turns[str] = field(default_factory=Turns)
    lines: dict[str, _Line[Item]] = field(default_factory=dict)
    tokens: int = 0


class FairQueue(Generic[Item]):
    """Waiting sequences; every operation is O(log n) in the number of callers."""

    def __init__(self) -> None:
        self._turns: Turns[Priority] = Turns(precedence=int)
        self._levels: dict[Priority, _Level[Item]] = {each: _Level() for each in Priority}

    def push(self, sequence: Item) -> None:
        """Add a sequence behind those of its caller and priority."""
        caller, priority = sequence.claim.caller, sequence.claim.priority
        level = self._levels[priority]
        if priority not in self._turns:
            self._turns.begin(priority)
        if caller not in level.turns:
            level.turns.begin(caller)
        line = level.lines.setdefault(caller, _Line())
        line.sequences[sequence] = None
        line.tokens += sequence.cost
        level.tokens += sequence.cost

    def first(self) -> Item | None:
        """Return the sequence that is next, and leave it there; None when none waits."""
        priority = self._turns.next()
        if priority is None:
            return None
        level = self._levels[priority]
        caller = level.turns.next()
        return None if caller is None else next(iter(level.lines[caller].sequences))

    def pop(self) -> Item | None:
        """Remove the sequence that is next, and charge it to its caller; None when none waits."""
        sequence = self.first()
        if sequence is not None:
            claim = sequence.claim
            self._turns.charge(claim.priority, sequence.cost * _scale(claim.priority))
            self._levels[claim.priority].turns.charge(claim.caller, sequence.cost)
            self.remove(sequence)
        return sequence

    def remove(self, sequence: Item) -> None:
        """Take a waiting sequence out, wherever it stands."""
        caller, priority = sequence.claim.caller, sequence.claim.priority
        level = self._levels[priority]
        line = level.lines[caller]
        del line.sequences[sequence]
        line.tokens -= sequence.cost
        level.tokens -= sequence.cost
        if not line.sequences:
            del level.lines[caller]
            level.turns.end(caller)
        if not level.lines:
            self._turns.end(priority)

    def forget(self, caller: str) -> None:
        """Forget what a caller was charged, which has nothing in the engine any more."""
        for level in self._levels.values():
            level.turns.forget(caller)

    def tokens_before(self, claim: Claim) -> int:
        """Return about what starts before a newcomer with this claim.

        It is what its caller has waiting at this priority, and as much of each other caller there.
        Other priorities do not count.
        """
        level = self._levels[claim.priority]
        own = level.lines.get(claim.caller)
        return 0 if own is None else min(level.tokens, own.tokens * len(level.lines))


def _scale(priority: Priority) -> int:
    """Return shares as integers, so that they are exact."""
    return SHARES[Priority.HIGH] // SHARES[priority]
