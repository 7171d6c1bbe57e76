"""Who may wait, and who is refused at once: bounds, shares and deadlines.

Deadlines: a request is refused when it would certainly be late. That is when its own least
work, at the best speed ever measured, and half of the time that the work before it in its
caller's share of the queue probably takes, do not fit. Its least work is its prompt and
min_tokens, or one token when it may end sooner. Nothing measured counts as no time.
"""

from __future__ import annotations

from lstmserve_server.config import EngineConfig
from lstmserve_server.engine.scheduling.fair_queue import FairQueue
from lstmserve_server.engine.scheduling.ledger import Ledger
from lstmserve_server.engine.scheduling.pace import Pace
from lstmserve_server.engine.scheduling.sequence import Sequence
from lstmserve_server.errors import (
    CallerShareError,
    DeadlineInfeasibleError,
    QueueFullError,
    QueueTokensFullError,
)

# A caller may hold this many times what is left of the queue: four fifths of it alone, four
# ninths beside another one like it. Dynamic thresholds: A. Choudhury, E. Hahne (1998).
SHARE_OF_REST = 4
# refused only if late even at twice the measured speed
DEADLINE_MARGIN = 2.0
# RetryInfo before the queue's speed is known, and its bounds
DEFAULT_RETRY_SECONDS = 1.0
LEAST_RETRY_SECONDS = 0.1
MOST_RETRY_SECONDS = 60.0


class Admission:
    """Refuses what cannot be served in time or would make the queue too long."""

    def __init__(
        self, config: EngineConfig, queue: FairQueue[Sequence], ledger: Ledger, pace: Pace
    ) -> None:
        self._config = config
        self._queue = queue
        self._ledger = ledger
        self._pace = pace

    @property
    def retry_seconds(self) -> float:
        """How long the engine takes to start all that waits now, at the measured speed."""
        speed = self._pace.queue_speed
        if not speed:
            return DEFAULT_RETRY_SECONDS
        seconds = self._ledger.all.waiting_tokens / speed
        return min(max(seconds, LEAST_RETRY_SECONDS), MOST_RETRY_SECONDS)

    def check_deadline(self, sequence: Sequence, now: float) -> None:
        """Raise DeadlineInfeasibleError when the sequence would certainly be late."""
        left = sequence.claim.deadline - now
        needed = self._least_seconds(sequence)
        if left <= 0 or needed > left:
            raise DeadlineInfeasibleError(
                f"the deadline is in {max(0.0, left):.3g} s, and the reply takes at least "
                f"{needed:.3g} s; nothing was generated"
            )

    def check_room(self, sequence: Sequence) -> None:
        """Raise QueueFullError, or the kind of it that fits, when the sequence may not wait."""
        everyone, own = self._ledger.all, self._ledger.of(sequence.claim.caller)
        held, own_held = (who.num_waiting + who.num_aside for who in (everyone, own))
        places_left = self._config.max_waiting - held
        tokens_left = self._config.max_waiting_tokens - everyone.waiting_tokens
        if places_left <= 0:
            raise QueueFullError(
                f"{held} requests are waiting already, and the server keeps no more",
                self.retry_seconds,
            )
        # a request larger than the whole bound may wait alone
        if sequence.cost > tokens_left and everyone.num_waiting:
            raise QueueTokensFullError(
                f"requests for {everyone.waiting_tokens} tokens are waiting already, and this "
                f"one for {sequence.cost} is too much",
                self.retry_seconds,
            )
        # the last place is for a caller that has none
        if (own_held and own_held >= SHARE_OF_REST * (places_left - 1)) or (
            own.waiting_tokens
            and own.waiting_tokens + sequence.cost > SHARE_OF_REST * (tokens_left - sequence.cost)
        ):
            raise CallerShareError(
                f"{own_held} requests of this caller are waiting already; what is left of the "
                "queue is kept for others (callers are told apart by x-caller-id)",
                self.retry_seconds,
            )

    def _least_seconds(self, sequence: Sequence) -> float:
        speed = self._pace.queue_speed
        before = self._queue.tokens_before(sequence.claim)
        queue_seconds = before / (DEADLINE_MARGIN * speed) if speed else 0.0
        return queue_seconds + self._pace.least_seconds(
            sequence.num_to_prefill, sequence.least_steps
        )
