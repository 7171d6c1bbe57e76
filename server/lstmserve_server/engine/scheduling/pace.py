"""How fast the engine works, as measured. Durations in seconds; told, never timed here."""

from __future__ import annotations

import math

# a queue's speed is that of about its last ten seconds of work
QUEUE_MEMORY_SECONDS = 10.0
# what share of their tokens replies took, over about this many tokens
REPLY_MEMORY_TOKENS = 10_000.0
# measurements before the least of them says how fast the engine can be
ENOUGH = 20


class FadingRatio:
    """A ratio of two sums that forget: what lies ``memory`` units back weighs 1/e."""

    def __init__(self, memory: float) -> None:
        self._memory = memory
        self._amount = 0.0
        self._units = 0.0

    def add(self, amount: float, units: float) -> None:
        kept = math.exp(-units / self._memory)
        self._amount = self._amount * kept + amount
        self._units = self._units * kept + units

    @property
    def value(self) -> float | None:
        """None before anything was measured."""
        return self._amount / self._units if self._units > 0 else None


class Least:
    """The least of many measurements."""

    def __init__(self) -> None:
        self._value = math.inf
        self._count = 0

    def add(self, value: float) -> None:
        self._value = min(self._value, value)
        self._count += 1

    @property
    def value(self) -> float:
        """0 before there are enough: an engine that has just begun on a busy machine may have
        stood still in its first turns.
        """
        return self._value if self._count >= ENOUGH else 0.0


class Pace:
    """Speeds by which to say how long something takes, at least or probably."""

    def __init__(self) -> None:
        self._prefill_seconds = Least()  # ever, per token of one prompt
        self._step_seconds = Least()  # ever, per decode step
        self._queue_speed = FadingRatio(QUEUE_MEMORY_SECONDS)
        self._cost_per_token = FadingRatio(REPLY_MEMORY_TOKENS)

    def on_read(self, lengths: list[int], seconds: float, *, while_waiting: bool) -> None:
        """Note that chunks of these lengths were prefilled together."""
        self._prefill_seconds.add(seconds / max(lengths))
        if while_waiting:
            self._queue_speed.add(sum(lengths), seconds)

    def on_decode(self, rows: int, steps: int, seconds: float, *, while_waiting: bool) -> None:
        """Note that rows took decode steps together.

        The queue's speed is measured while there is a queue: an engine half empty is slower.
        """
        self._step_seconds.add(seconds / steps)
        if while_waiting:
            self._queue_speed.add(rows * steps, seconds)

    def on_end(self, cost: int, tokens: int) -> None:
        """Note that a sequence that might have taken ``cost`` tokens ended after so many."""
        self._cost_per_token.add(cost, tokens)

    def least_seconds(self, num_to_prefill: int, num_steps: int) -> float:
        """Return the least time that prefilling and decoding so much takes.

        It assumes the best speeds ever measured, each by itself, and 0 before enough was measured.
        """
        return num_to_prefill * self._prefill_seconds.value + num_steps * self._step_seconds.value

    @property
    def queue_speed(self) -> float | None:
        """Cost in tokens that leaves the queue per second while there is one."""
        speed, cost = self._queue_speed.value, self._cost_per_token.value
        return None if speed is None or cost is None else speed * cost
