"""An engine's process: the server's own scheduler, and decode steps that take measured time."""

from __future__ import annotations

from collections.abc import Callable, Generator
from itertools import count
from typing import Any

import simpy

from benchmarks.capacity.cores import Steps, Thread
from benchmarks.capacity.costs import Costs
from benchmarks.capacity.flight import Flight
from benchmarks.capacity.traffic import Question
from lstmserve_server.config import EngineConfig
from lstmserve_server.engine.request import Claim, GenerationRequest, Priority, SamplingParams
from lstmserve_server.engine.scheduling.pace import Pace
from lstmserve_server.engine.scheduling.scheduler import Scheduler, Turn
from lstmserve_server.engine.scheduling.sequence import Sequence
from lstmserve_server.errors import LstmserveError

TOKEN, END = 0, 1
GREEDY = SamplingParams(temperature=0.0)


Deliver = Callable[[list[tuple[Flight, bool]]], None]  # messages, each the last or not


class EngineModel:
    """Runs turns while there is work. ``deliver`` is given each turn's messages."""

    def __init__(
        self,
        environment: simpy.Environment,
        thread: Thread,
        costs: Costs,
        config: EngineConfig,
        deliver: Deliver,
    ) -> None:
        self.num_tokens = 0
        self._environment, self._thread, self._costs = environment, thread, costs
        self._deliver = deliver
        self._pace = Pace()
        self._scheduler = Scheduler(config, self._pace)
        self._flights: dict[Sequence, Flight] = {}
        self._inbox: list[tuple[Flight, float]] = []
        self._wake = environment.event()
        self._numbers = count()
        environment.process(self._run())

    def submit(self, flight: Flight, deadline: float) -> None:
        self._inbox.append((flight, deadline))
        if not self._wake.triggered:
            self._wake.succeed()

    def stop(self, error: Exception) -> None:
        """End at once, with all that runs."""
        for flight, _ in self._inbox:
            flight.fail(error)
        for flight in self._flights.values():
            flight.fail(error)
        self._inbox, self._flights = [], {}
        self._scheduler = Scheduler(EngineConfig(), Pace())

    def _run(self) -> Steps:
        while True:
            if not self._inbox and not self._scheduler.has_work:
                self._wake = self._environment.event()
                yield self._wake
            self._take_in()
            yield from self._take_turn()

    def _take_in(self) -> None:
        now = self._environment.now
        arrived, self._inbox = self._inbox, []
        for flight, deadline in arrived:
            sequence = self._make_sequence(flight.question, deadline)
            try:
                self._scheduler.submit(sequence, now)
                self._flights[sequence] = flight
            except LstmserveError as error:
                flight.fail(error)
        while (late := self._scheduler.find_late(now)) is not None:
            self._drop(late).fail(TimeoutError())

    def _make_sequence(self, question: Question, deadline: float) -> Sequence:
        prompt = (TOKEN,) * question.prompt_tokens
        request = GenerationRequest(prompt, GREEDY, question.max_tokens)
        claim = Claim(question.caller, Priority.NORMAL, deadline)
        return Sequence(next(self._numbers), request, claim, END, self._environment.now)

    def _take_turn(self) -> Steps:
        self._make_way()
        yield from self._prefill()
        self._scheduler.take_ready()
        turn = self._scheduler.next_turn()
        if turn.rows:
            steps = yield from self._decode(turn)
            self._hand_out(turn.rows, steps)

    def _make_way(self) -> None:
        while (preempted := self._scheduler.find_preempted()) is not None:
            self._scheduler.give_way(preempted, self._environment.now)

    def _prefill(self) -> Steps:
        chunks = self._scheduler.next_chunks()
        if not chunks:
            return
        lengths = [len(chunk.token_ids) for chunk in chunks]
        began, costs = self._environment.now, self._costs
        begun = sum(not chunk.sequence.num_prefilled for chunk in chunks)
        seconds = begun * costs.reply_seconds + sum(lengths) * costs.prefill_token_seconds
        yield from self._thread.run(seconds * costs.engine_factor)
        for chunk, length in zip(chunks, lengths, strict=True):
            chunk.sequence.num_prefilled += length
        elapsed = self._environment.now - began
        self._pace.on_read(lengths, elapsed, while_waiting=self._scheduler.has_queue)

    def _decode(self, turn: Turn) -> Generator[simpy.Event, Any, int]:
        """Decode a quantum, which a request that comes ends after the least steps."""
        began = self._environment.now
        step = self._costs.step(len(turn.rows)) * self._costs.engine_factor
        turn_seconds = self._costs.turn_seconds * self._costs.engine_factor
        at_a_time = 1 if turn.least_steps < turn.steps else turn.steps
        steps = 0
        while steps < turn.steps and not (steps >= turn.least_steps and self._inbox):
            beside = 0.0 if steps else turn_seconds
            yield from self._thread.run(at_a_time * step + beside)
            steps += at_a_time
        elapsed, waiting = self._environment.now - began, self._scheduler.has_queue
        self._pace.on_decode(len(turn.rows), steps, elapsed, while_waiting=waiting)
        return steps

    def _hand_out(self, rows: list[Sequence], steps: int) -> None:
        messages = []
        for sequence in rows:
            if sequence not in self._flights:
                continue  # the replica has gone
            flight = self._flights[sequence]
            left = flight.question.tokens - len(sequence.token_ids)
            tokens = [TOKEN] * steps if steps < left else [TOKEN] * (left - 1) + [END]
            self.num_tokens += len(sequence.extend(tokens))
            messages.append((flight, sequence.is_finished))
            if sequence.is_finished:
                self._drop(sequence)
        self._deliver(messages)

    def _drop(self, sequence: Sequence) -> Flight:
        self._scheduler.drop(sequence, self._environment.now)
        return self._flights.pop(sequence)
