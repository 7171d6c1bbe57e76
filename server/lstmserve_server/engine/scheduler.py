"""Who reads, who decodes, and for how long. Plain Python: no torch, no clock, no threads."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from lstmserve_server.config import EngineConfig
from lstmserve_server.engine.sequence import Sequence
from lstmserve_server.engine.slots import Slots
from lstmserve_server.errors import QueueFullError


@dataclass(frozen=True, slots=True)
class Piece:
    """A bounded part of a prompt to read next."""

    sequence: Sequence
    token_ids: tuple[int, ...]


class Scheduler:
    """Holds every sequence from arrival to end.

    A sequence waits, then reads its prompt in pieces, then decodes in a row. Reading and
    running sequences together never exceed ``max_running``; who came first goes first.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._waiting: deque[Sequence] = deque()
        self._reading: list[Sequence] = []
        self.slots = Slots()

    @property
    def num_waiting(self) -> int:
        return len(self._waiting)

    @property
    def num_running(self) -> int:
        return len(self._reading) + len(self.slots)

    @property
    def has_work(self) -> bool:
        return bool(self._waiting or self._reading or len(self.slots))

    def submit(self, sequence: Sequence) -> None:
        """Queue a sequence; raises QueueFullError when the queue is at its bound.

        Those for which a row is free do not count: they only wait for the next step.
        """
        free = max(0, self._config.max_running - self.num_running)
        if len(self._waiting) >= self._config.max_waiting + free:
            raise QueueFullError(
                f"{len(self._waiting)} requests are waiting already, and the server keeps no more",
                retry_seconds=1.0,
            )
        self._waiting.append(sequence)

    def admit(self) -> list[Sequence]:
        """Let waiting sequences begin to read while there is room; returns those."""
        admitted = []
        while self._waiting and self.num_running < self._config.max_running:
            sequence = self._waiting.popleft()
            self._reading.append(sequence)
            admitted.append(sequence)
        return admitted

    def next_pieces(self) -> list[Piece]:
        """The next piece of every prompt that is not read yet, all bounded alike."""
        bound = self._config.prefill_piece_tokens
        return [
            Piece(sequence, sequence.unread[:bound])
            for sequence in self._reading
            if sequence.unread
        ]

    def take_ready(self) -> list[Sequence]:
        """Remove and return the sequences that have read all they must."""
        ready = [sequence for sequence in self._reading if not sequence.unread]
        self._reading = [sequence for sequence in self._reading if sequence.unread]
        return ready

    def next_steps(self) -> int:
        """How many tokens the running rows decode before anything else happens.

        One while a row has shown nothing yet, so that first tokens go out at once;
        otherwise a quantum, or less when no reply has that many tokens left.
        """
        running = self.slots.sequences
        if any(not sequence.has_new_token for sequence in running):
            return 1
        longest = max((sequence.num_remaining for sequence in running), default=0)
        return min(self._config.quantum_steps, longest)

    def drop(self, sequence: Sequence) -> None:
        """Forget a sequence that holds no row; one unknown or gone is no error."""
        if sequence in self._waiting:
            self._waiting.remove(sequence)
        if sequence in self._reading:
            self._reading.remove(sequence)
