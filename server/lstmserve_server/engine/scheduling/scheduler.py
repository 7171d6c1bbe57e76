"""Who waits, prefills and decodes, and for how long: no torch, no clock, no threads."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass, replace
from itertools import chain

from lstmserve_server.config import EngineConfig
from lstmserve_server.engine.request import Claim
from lstmserve_server.engine.scheduling.admission import Admission
from lstmserve_server.engine.scheduling.fair_queue import FairQueue
from lstmserve_server.engine.scheduling.ledger import Holdings, Ledger, find_preempted
from lstmserve_server.engine.scheduling.pace import Pace
from lstmserve_server.engine.scheduling.prefill import PromptChunk, cut_chunks
from lstmserve_server.engine.scheduling.ranking import Ranking
from lstmserve_server.engine.scheduling.sequence import Sequence, Stage

FEW_ROWS = 16  # a step costs so few little more than it costs one of them
# rows end their quantum when something comes, but the more there are, the later: to begin another
# costs as much as a step of one row
ROWS_PER_LEAST_STEP = 4
MOST_FOR_NEW_OF_FEW = 4  # turns of one step in a row: who has begun goes on in between
ALONE_QUANTA = 2  # that one row takes at a time: guesses come to more, and nobody waits for it


@dataclass(frozen=True, slots=True)
class Turn:
    """Rows to decode, and so many tokens of each; the least are enough when something comes."""

    rows: list[Sequence]
    steps: int
    least_steps: int


class Scheduler:
    """Holds every sequence from arrival to end.

    A sequence waits, then has one of ``max_running`` places: it prefills its prompt in chunks,
    then decodes. It may be set aside meanwhile, because its reader is slow (parked) or because
    another caller has no place at all (preempted). It returns before anything new starts. While a
    place is free, nothing waits.
    """

    def __init__(self, config: EngineConfig, pace: Pace) -> None:
        self._config = config
        self._queue: FairQueue[Sequence] = FairQueue()
        self._ledger = Ledger()
        self._admission = Admission(config, self._queue, self._ledger, pace)
        self._deadlines: Ranking[Sequence] = Ranking()
        self._pace = pace
        self._prefilling: dict[Sequence, None] = {}  # oldest first
        self._running: dict[Sequence, None] = {}
        self._num_for_new = 0  # of the last turns, in a row
        self._returning: OrderedDict[Sequence, None] = OrderedDict()

    @property
    def holdings(self) -> Holdings:
        """What is in the engine, by stage."""
        return self._ledger.all

    @property
    def running(self) -> Collection[Sequence]:
        """Those that decode."""
        return self._running.keys()

    @property
    def has_work(self) -> bool:
        return bool(self._prefilling or self._running)  # whoever waits, waits for these

    @property
    def has_queue(self) -> bool:
        """Whether anybody waits for a place."""
        return self.holdings.num_waiting > 0

    # --- coming and going ------------------------------------------------------------

    def submit(self, sequence: Sequence, now: float, *, is_admitted: bool = False) -> None:
        """Queue a sequence, or give it a place at once while there is one.

        Raises DeadlineInfeasibleError, QueueFullError or a kind of it, unless it was admitted.
        """
        if not is_admitted:
            self._admit(sequence, now)
        self._deadlines.add(sequence, sequence.claim.deadline)
        self._ledger.move(sequence, Stage.WAITING)
        self._queue.push(sequence)
        self._fill(now)

    def _admit(self, sequence: Sequence, now: float) -> None:
        self._admission.check_deadline(sequence, now)
        # those set aside free their places, and would otherwise be without bound
        if not self._has_room or self.holdings.num_aside:
            self._admission.check_room(sequence)

    def drop(self, sequence: Sequence, now: float) -> None:
        """Forget a sequence, wherever it is."""
        if sequence.num_worked:
            self._pace.on_end(sequence.cost, sequence.num_worked)
        self._withdraw(sequence)
        self._deadlines.discard(sequence)
        self._ledger.move(sequence, Stage.NONE)
        if self._ledger.of(sequence.claim.caller).is_empty:
            self._queue.forget(sequence.claim.caller)
        self._fill(now)

    def amend(self, sequence: Sequence, claim: Claim) -> None:
        """Give a sequence another deadline and priority, wherever it is; its caller stays.

        One that waits goes behind those of its new priority; it is charged when it starts.
        """
        is_moved = sequence.stage is Stage.WAITING and claim.priority != sequence.claim.priority
        if is_moved:
            self._queue.remove(sequence)
        sequence.claim = replace(claim, caller=sequence.claim.caller)
        if is_moved:
            self._queue.push(sequence)
        self._deadlines.discard(sequence)
        self._deadlines.add(sequence, claim.deadline)

    def find_late(self, now: float) -> Sequence | None:
        """Return a sequence whose deadline has passed, wherever it is; None if there is none."""
        sequence = self._deadlines.first()
        return sequence if sequence is not None and sequence.claim.deadline <= now else None

    def park(self, sequence: Sequence, now: float) -> None:
        """Take a sequence's place until its reader has caught up."""
        self._withdraw(sequence)
        self._ledger.move(sequence, Stage.PARKED)
        self._fill(now)

    def unpark(self, sequence: Sequence, now: float) -> None:
        """Let a parked sequence go on."""
        self._ledger.move(sequence, Stage.RETURNING)
        self._returning[sequence] = None
        self._fill(now)

    def find_preempted(self) -> Sequence | None:
        """Return the sequence to preempt for the first of the queue, whose caller has no place."""
        first = self._queue.first()
        if first is None or self._ledger.of(first.claim.caller).num_active:
            return None
        return find_preempted(first, chain(self._prefilling, self._running))

    def give_way(self, sequence: Sequence, now: float) -> None:
        """Preempt a sequence for the first of the queue; it returns as soon as it can."""
        self._withdraw(sequence)
        first = self._queue.pop()
        if first is not None:
            self._enter(first, now)
        self.unpark(sequence, now)

    # --- what to do next ---------------------------------------------------------------

    def next_chunks(self) -> list[PromptChunk]:
        """Return the chunks of prompts to prefill before the next quantum."""
        return cut_chunks(
            self._prefilling, self._config.prefill_piece_tokens, self._config.prefill_budget_tokens
        )

    def take_ready(self) -> list[Sequence]:
        """Return the sequences whose prompts are prefilled: they decode from now on."""
        ready = [sequence for sequence in self._prefilling if not sequence.num_to_prefill]
        for sequence in ready:
            del self._prefilling[sequence]
            self._running[sequence] = None
            self._ledger.move(sequence, Stage.RUNNING)
        return ready

    def next_turn(self) -> Turn:
        """Return which rows decode next, and how many tokens each.

        Where rows have shown nothing yet, a turn is one step, so that first tokens go out at once.
        Few rows all take it, as a step costs them little more than one of them; among many, the
        new ones take it by themselves. Such turns in a row are bounded. Otherwise all rows take a
        quantum, or less when no reply has that many tokens left, and stop after the least steps
        when a request comes meanwhile.
        """
        rows = list(self._running)
        are_few = len(rows) <= FEW_ROWS
        new = [sequence for sequence in rows if not sequence.has_new_token]
        most_in_a_row = MOST_FOR_NEW_OF_FEW if are_few else 1
        if len(new) == len(rows) or (new and self._num_for_new < most_in_a_row):
            # where nobody else waits for them, they may go on
            self._num_for_new = self._num_for_new + 1 if len(new) < len(rows) else 0
            return Turn(rows if are_few else new, 1, 1)
        self._num_for_new = 0
        longest = max((sequence.num_remaining for sequence in rows), default=0)
        quantum = self._config.quantum_steps
        if len(rows) == 1 and quantum > 1:  # who wants single steps gets them
            quantum *= ALONE_QUANTA
        steps = min(quantum, longest)
        return Turn(rows, steps, min(steps, max(1, len(rows) // ROWS_PER_LEAST_STEP)))

    # --- places --------------------------------------------------------------------------

    @property
    def _has_room(self) -> bool:
        return self._ledger.all.num_active < self._config.max_running

    def _fill(self, now: float) -> None:
        """Give the free places away: first to those that had one before."""
        while self._has_room:
            returning = next(iter(self._returning), None)
            sequence = returning or self._queue.pop()
            if sequence is None:
                return
            self._returning.pop(sequence, None)
            self._enter(sequence, now)

    def _enter(self, sequence: Sequence, now: float) -> None:
        sequence.started_at = sequence.started_at or now
        self._prefilling[sequence] = None
        self._ledger.move(sequence, Stage.PREFILLING)

    def _withdraw(self, sequence: Sequence) -> None:
        """Take a sequence out of the line it stands in."""
        match sequence.stage:
            case Stage.WAITING:
                self._queue.remove(sequence)
            case Stage.PREFILLING:
                del self._prefilling[sequence]
            case Stage.RUNNING:
                del self._running[sequence]
            case Stage.RETURNING:
                del self._returning[sequence]
