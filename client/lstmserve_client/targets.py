"""Which server is asked next: round robin among those that have not failed lately."""

import threading
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from lstmserve_client.retries import backoff_seconds

_MAX_REST_SECONDS = 20.0
_FIRST_REST_SECONDS = 1.0


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
    ) -> int:
        """The next in turn that neither refuses nor rests; if all do, the one that ends first.

        Those to ``avoid`` are chosen only if there are no others, those that were just ``lost``
        only if all others refuse.
        """
        with self._lock:
            count = len(self._targets)
            turn = [(self._next + step) % count for step in range(count)]
            allowed = [number for number in turn if number not in avoid] or turn
            chosen = min(
                allowed,
                key=lambda number: (
                    self._refusal(number, now),
                    number in lost,
                    self._rest(number, now),
                ),
            )
            self._next = (chosen + 1) % count
            return chosen

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

    def _rest(self, number: int, now: float) -> float:
        return max(self._refusal(number, now), self._targets[number].rests_until - now)

    def _refusal(self, number: int, now: float) -> float:
        return max(0.0, self._targets[number].refuses_until - now)
