"""What a replica's own process sends: kept replies, and the messages of each turn."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import simpy

from benchmarks.capacity.cores import Steps, Thread
from benchmarks.capacity.costs import Costs
from benchmarks.capacity.fleet_plan import FleetPlan
from benchmarks.capacity.flight import Call, Flight


class Sender:
    """Spends the time of the process's one thread on messages."""

    def __init__(
        self,
        environment: simpy.Environment,
        front: Thread,
        costs: Costs,
        plan: FleetPlan,
        *,
        is_streamed: bool,
    ) -> None:
        self._environment, self._front = environment, front
        self._message_seconds = costs.front_message_seconds
        self._message_tokens = plan.engine.quantum_steps
        self._is_streamed = is_streamed

    def replay(self, call: Call, seconds: float) -> Steps:
        """Send a kept reply: the first token alone, the rest in messages of a quantum."""
        yield from self._front.run(seconds + self._message_seconds)
        call.first = self._environment.now
        messages = ceil((call.question.tokens - 1) / self._message_tokens)
        if self._is_streamed and messages:
            yield from self._front.run(messages * self._message_seconds)

    def deliver(self, messages: Sequence[tuple[Flight, bool]]) -> None:
        """Send a turn's messages when the process comes to it."""
        self._environment.process(self._send(messages))

    def _send(self, messages: Sequence[tuple[Flight, bool]]) -> Steps:
        """Send to all who follow; without streams, only the whole replies."""
        count = sum(
            flight.followers for flight, is_last in messages if self._is_streamed or is_last
        )
        yield from self._front.run(count * self._message_seconds)
        for flight, is_last in messages:
            if not flight.first.triggered:
                flight.first.succeed()
            if is_last and not flight.done.triggered:
                flight.done.succeed()
