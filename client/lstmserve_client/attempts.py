"""The attempts of one call: whom to ask, with how much time, and whether to ask again.

No I/O and no clock of its own: both clients do as it says. It tells ``logging`` what it decides.
"""

import logging
import math
import random
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from lstmserve_client.affinity import rank_targets
from lstmserve_client.call import Call
from lstmserve_client.errors import (
    DeadlineExceededError,
    LstmserveError,
    OverloadedError,
    UnavailableError,
    VersionGoneError,
)
from lstmserve_client.policies import RetryPolicy
from lstmserve_client.retries import RetryBudget, backoff_seconds, jitter
from lstmserve_client.targets import Targets
from lstmserve_client.transport import Attempt

# a server that took a request and was lost before anything came of it may have been lost through
# it: such a request must not go on from server to server
_LOST = (None, "ENGINE_DEAD")
_MAX_LOSSES = 5
_ADVICE = "start one with `make serve` or lstmserve-server, or check target and tls"
_LOG = logging.getLogger("lstmserve_client")
_FOREVER_SECONDS = 1e9  # gRPC takes what lies far beyond it for the past


@dataclass(frozen=True, slots=True)
class Patience:
    """What the calls of one client share."""

    policy: RetryPolicy
    targets: Targets
    budget: RetryBudget
    now: Callable[[], float]  # monotonic, in seconds
    draw: Callable[[], float] = random.random  # uniform in [0, 1)

    @classmethod
    def begin(cls, policy: RetryPolicy, num_targets: int, now: Callable[[], float]) -> "Patience":
        """Nothing is known of any server yet."""
        return cls(policy, Targets(num_targets), RetryBudget(policy, now()), now)


@dataclass(slots=True)
class Attempts:
    """Begins when its call does, and is closed with it."""

    patience: Patience
    call: Call
    _began: float = field(init=False)
    _deadline: float = field(init=False)
    num_begun: int = field(init=False, default=0)
    _target: int = field(init=False, default=0)  # of the latest attempt
    _is_checked: bool = field(init=False, default=False)
    _failures: int = 0  # in a row, none of which brought anything
    _losses: int = 0  # of servers that had taken the call, and brought nothing
    # what targets said that do not have the version
    _gone: dict[int, VersionGoneError] = field(default_factory=dict)
    # the target that the latest attempt did not reach: others first, however long theirs rests
    _lost: frozenset[int] = frozenset()
    _preferred: tuple[int, ...] = ()  # all targets, the warmest first; empty where none is warm
    _running: list[int] = field(default_factory=list)  # targets that are asked now

    def __post_init__(self) -> None:
        self._began = self.patience.now()
        self._deadline = self._began + self.call.timeout_seconds
        self.patience.budget.earn()
        if self.call.affinity:
            self._preferred = rank_targets(self.call.affinity, self.call.config.targets)

    @property
    def elapsed_seconds(self) -> float:
        """Since the call began."""
        return self.patience.now() - self._began

    @property
    def target(self) -> str:
        """The server of the latest attempt; empty before there was one."""
        return self.call.config.targets[self._target] if self.num_begun else ""

    def close(self) -> None:
        """The call has ended, or runs nowhere for a while: its targets have room for others."""
        while self._running:
            self.patience.targets.ended(self._running.pop())

    def next(self) -> Attempt:
        """Whom to ask now; raises DeadlineExceededError when no time is left."""
        now = self.patience.now()
        self._target = self._choose(now, self._gone.keys(), self._lost)
        return self._attempt(self._target, now)

    def beside(self) -> Attempt | None:
        """Whom to ask as well, while an attempt runs; ``None`` if the budget has no room."""
        now = self.patience.now()
        if now >= self._deadline or not self.patience.budget.try_spend(now):
            return None
        target = self._choose(now, {*self._gone, self._target})
        attempt = self._attempt(target, now)
        _LOG.debug("request %s: is slow; a second server is asked", self.call.request_id)
        self._is_checked = False  # nobody will know which of the two had the answer
        return attempt

    def succeeded(self) -> None:
        """The latest attempt has its answer."""
        self.patience.targets.were_reached = True
        if self._is_checked:
            self.patience.targets.succeeded(self._target)

    def after(
        self, error: LstmserveError, *, has_progressed: bool = False, is_final: bool = False
    ) -> float:
        """Seconds to wait before the next attempt; raises ``error`` if there is to be none, or
        what the servers said that do answer: that the version is gone.

        ``has_progressed`` says that the attempt brought something before it failed, ``is_final``
        that no other attempt can bring the rest.
        """
        self.close()
        error.request_id = error.request_id or self.call.request_id
        if has_progressed or not _is_silence(error):
            self.patience.targets.were_reached = True
        if is_final:
            raise error
        if isinstance(error, VersionGoneError):
            return self._ask_elsewhere(error)
        if isinstance(error, DeadlineExceededError) and error.reason is None:
            error.message = self._late  # gRPC's own words do not tell what the deadline was
        if not isinstance(error, UnavailableError | OverloadedError):
            raise error
        now, targets = self.patience.now(), self.patience.targets
        targets.failed(self._target, now, error.retry_delay_seconds)
        self._lost = frozenset({self._target} if isinstance(error, UnavailableError) else ())
        self._count(error, has_progressed=has_progressed)
        if not self._is_patient(error):
            raise self._cause(error)
        # what went on costs servers nothing twice, and is not taken from the budget
        if not (has_progressed or self.patience.budget.try_spend(now)):
            raise self._cause(error)
        wait = 0.0 if targets.has_ready(now, self._gone.keys()) else self._pause(now)
        if now + wait >= self._deadline or (wait and now + wait > self._connected_by):
            raise self._cause(error)
        self._log(error, wait)
        return wait

    def _choose(
        self, now: float, avoid: AbstractSet[int], lost: AbstractSet[int] = frozenset()
    ) -> int:
        target = self.patience.targets.choose(now, avoid, lost, self._preferred)
        self._running.append(target)
        return target

    @property
    def _connected_by(self) -> float:
        """Until when to try: retries are for servers that were there, not for a wrong address."""
        if self.patience.targets.were_reached:
            return math.inf
        return self._began + self.patience.policy.connect_seconds

    def _log(self, error: LstmserveError, wait: float) -> None:
        _LOG.info(
            "request %s: failure %d at %s, after %d tokens: %s; again in %.2f s",
            self.call.request_id,
            self._failures,
            self.call.config.targets[self._target],
            error.received_tokens,
            error,
            wait,
        )

    @property
    def _late(self) -> str:
        late = f"within {self.call.timeout_seconds:g} s (timeout)"
        if self.patience.targets.were_reached:
            return f"no reply {late}"
        return f"no server has answered {late} at {self._where}; {_ADVICE}"

    @property
    def _where(self) -> str:
        return ", ".join(self.call.config.targets)

    def _attempt(self, target: int, now: float) -> Attempt:
        remaining = self._deadline - now
        if remaining <= 0:
            raise DeadlineExceededError(self._late, request_id=self.call.request_id)
        # the health that a proxy tells is that of one server behind it: of a target that is asked
        # although it failed, it is not a condition
        self._is_checked = self.call.is_checked and not self.patience.targets.is_resting(
            target, now
        )
        self.num_begun += 1
        return Attempt(
            target,
            None if remaining > _FOREVER_SECONDS else remaining,
            self.call.make_metadata(),
            self.call.request_id,
            self._is_checked,
        )

    def _count(self, error: LstmserveError, *, has_progressed: bool) -> None:
        if has_progressed:
            self._failures = self._losses = 0
        self._failures += 1
        self._losses += error.was_accepted and not has_progressed and error.reason in _LOST

    def _is_patient(self, error: LstmserveError) -> bool:
        """A reply that has begun is given up at its deadline, and not before."""
        most = self.patience.policy.max_attempts
        may_go_on = self._failures < most or (error.received_tokens > 0 and most > 1)
        return self.call.is_retried and may_go_on and self._losses <= _MAX_LOSSES

    def _pause(self, now: float) -> float:
        policy = self.patience.policy
        longest = backoff_seconds(
            self._failures,
            policy.initial_backoff_seconds,
            policy.max_backoff_seconds,
            policy.multiplier,
        )
        pause = jitter(longest, self.patience.draw())
        return max(pause, self.patience.targets.refusal_seconds(now))

    def _ask_elsewhere(self, error: VersionGoneError) -> float:
        """While a release is rolled out, another server may have the version still."""
        self._gone[self._target] = error
        _LOG.info("request %s: %s; another server may have it", self.call.request_id, error)
        self._lost = frozenset()
        if len(self._gone) >= len(self.patience.targets):
            raise error
        return 0.0

    def _cause(self, error: LstmserveError) -> LstmserveError:
        """Why there is no reply: who cannot be reached matters less than what others said."""
        if self._gone:
            return next(reversed(self._gone.values()))
        if _is_silence(error) and isinstance(error, UnavailableError) and not error.received_tokens:
            error.message = f"no server answers at {self._where} ({error.message}); {_ADVICE}"
        return error


def _is_silence(error: LstmserveError) -> bool:
    """Whether no server said anything: gRPC made the error, or a proxy."""
    is_made = isinstance(error, UnavailableError | DeadlineExceededError) and error.reason is None
    return is_made and not error.was_accepted
