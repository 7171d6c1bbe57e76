"""Which server is asked next, of those that have not failed lately: the one that is warm for the
call as long as it has no more than its share, else the next in turn.
"""

import math
import threading
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from lstmserve_client.retries import backoff_seconds

_MAX_REST_SECONDS = 20.0
_FIRST_REST_SECONDS = 1.0
# of the mean, that calls may run at one while others have room; docker/proxy has the same
BALANCE_FACTOR = 1.5


@dataclass(slots=True)
class _Target:
    failures: int = 0  # in a row
    rests_until: float = 0.0  # others are asked first
    refuses_until: float = 0.0  # it said itself not to come back before


class Targets:
    """What is known of a client's servers, by their numbers. Times are monotonic seconds.

    Safe to share between threads. Does no I/O: gRPC looks after the connections, this after
    whom to prefer.
    """

    def __init__(self, count: int) -> None:
        self._targets = [_Target() for _ in range(count)]
        self._running = [0] * count
        self._next = 0
        self.were_reached = False  # one at least has answered, whatever it said
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._targets)

    def choose(
        self,
        now: float,
        avoid: AbstractSet[int] = frozenset(),
        lost: AbstractSet[int] = frozenset(),
        preferred: Sequence[int] = (),
    ) -> int:
        """The next in turn that neither refuses nor rests; if all do, the one that ends first.

        Those to ``avoid`` are chosen only if there are no others, those that were just ``lost``
        only if all others refuse. ``preferred`` are all of them in the order that goes before
        turns, among those that have not their share of calls yet. The call runs there until
        it is said to have ``ended``.
        """
        with self._lock:
            turn = preferred or self._take_turns()
            allowed = [number for number in turn if number not in avoid] or turn
            most = self._share(allowed, now) if preferred else math.inf
            chosen = min(
                allowed,
                key=lambda number: (
                    self._refusal(number, now),
                    number in lost,
                    self._rest(number, now),
                    self._running[number] >= most,
                ),
            )
            self._running[chosen] += 1
            if not preferred:
                self._next = (chosen + 1) % len(self._targets)
            return chosen

    def ended(self, number: int) -> None:
        """A call that was to run at a target does so no longer."""
        with self._lock:
            self._running[number] -= 1

    def is_resting(self, number: int, now: float) -> bool:
        """Whether a target has failed lately."""
        with self._lock:
            return self._rest(number, now) > 0

    def has_ready(self, now: float, avoid: AbstractSet[int] = frozenset()) -> bool:
        """Whether one besides those to ``avoid`` does not rest."""
        with self._lock:
            numbers = set(range(len(self._targets))) - avoid
            return any(self._rest(number, now) <= 0 for number in numbers)

    def refusal_seconds(self, now: float) -> float:
        """How long every target refuses to be asked; 0 if one does not."""
        with self._lock:
            return min(self._refusal(number, now) for number in range(len(self._targets)))

    def failed(self, number: int, now: float, retry_delay_seconds: float | None = None) -> None:
        """Let a target rest, longer each time, and as long as it asks for."""
        with self._lock:
            target = self._targets[number]
            if now >= target.rests_until:  # those that failed together count once
                target.failures += 1
                target.rests_until = now + backoff_seconds(
                    target.failures, _FIRST_REST_SECONDS, _MAX_REST_SECONDS
                )
            if retry_delay_seconds is not None:
                target.refuses_until = max(target.refuses_until, now + retry_delay_seconds)

    def succeeded(self, number: int) -> None:
        """A target that answers rests no longer."""
        with self._lock:
            self._targets[number] = _Target()

    def _take_turns(self) -> list[int]:
        count = len(self._targets)
        return [(self._next + step) % count for step in range(count)]

    def _share(self, allowed: Sequence[int], now: float) -> int:
        """How many calls may run at one target, the next one among them (bounded load)."""
        ready = [number for number in allowed if self._rest(number, now) <= 0] or allowed
        running = sum(self._running[number] for number in ready) + 1
        return math.ceil(BALANCE_FACTOR * running / len(ready))

    def _rest(self, number: int, now: float) -> float:
        return max(self._refusal(number, now), self._targets[number].rests_until - now)

    def _refusal(self, number: int, now: float) -> float:
        return max(0.0, self._targets[number].refuses_until - now)
