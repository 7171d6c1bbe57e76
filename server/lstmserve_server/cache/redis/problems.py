"""What an error of Redis means, and for how long Redis has refused something."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto

from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    ClusterError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    SlotNotCoveredError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from lstmserve_server.cache.observer import Problem
from lstmserve_server.failures import backoff_seconds

# the code by which Redis begins an error is what we call the problem
CODES = frozenset({
    Problem.LOADING, Problem.MASTERDOWN, Problem.CLUSTERDOWN, Problem.READONLY, Problem.MOVED,
    Problem.MISCONF, Problem.NOREPLICAS, Problem.OOM, Problem.NOPERM, Problem.BUSY,
    Problem.WRONGTYPE,
})  # fmt: skip
# Redis before 7 puts an error of a script behind the script's name and a line's number
CODE = re.compile(rf"(?:^|[-:] ?)({'|'.join(code.name for code in CODES)})\b")
# of a script's command, which has no code; from Redis 8 on, and Valkey 8, in other words
NOPERM_IN_SCRIPT = ("The user executing the script can't", "ACL failure in script")
NO_SERVER = frozenset({Problem.TIMEOUT, Problem.CONNECTION, Problem.CREDENTIALS})
# nothing is answered: to ask again and again costs time and finds nothing
OUTAGES = NO_SERVER | {Problem.LOADING, Problem.MASTERDOWN, Problem.CLUSTERDOWN}
# another server may have this one's place by now
LEAVING = frozenset({
    Problem.READONLY, Problem.LOADING, Problem.MASTERDOWN, Problem.CLUSTERDOWN
})  # fmt: skip

# of one command or key; all else concerns whatever is written
NARROW = frozenset({Problem.NOPERM, Problem.WRONGTYPE, Problem.OTHER})

FIRST_QUIET_SECONDS = 1.0
FORGET_SECONDS = 60.0  # what begins again later is told as if for the first time


def classify(error: BaseException) -> Problem:
    """Return what went wrong, from what was raised or came as an answer."""
    code = str(getattr(error, "status_code", ""))  # redis-py's, which takes it from the text
    found = [code] if code in Problem.__members__ else CODE.findall(str(error))
    match error:
        # redis-py hides what failed while it connected behind an error of the connection
        case RedisConnectionError(__cause__=AuthenticationError()):
            problem = Problem.CREDENTIALS
        # and what a server says that a sentinel still took for the primary
        case RedisConnectionError(__context__=ReadOnlyError()):
            problem = Problem.READONLY
        case RedisError() if found:
            problem = Problem[found[0]]
        case RedisError() if any(words in str(error) for words in NOPERM_IN_SCRIPT):
            problem = Problem.NOPERM
        case AuthenticationError() | AuthorizationError():
            problem = Problem.CREDENTIALS
        case TimeoutError() | RedisTimeoutError():
            problem = Problem.TIMEOUT
        case SlotNotCoveredError():
            problem = Problem.CLUSTERDOWN
        case RedisConnectionError() | OSError() | ClusterError() | RedisClusterException():
            problem = Problem.CONNECTION
        case _:
            problem = Problem.OTHER
    return problem


def explain(error: BaseException) -> str:
    """Return what Redis or the system says; what Python says of a strange answer helps nobody."""
    if isinstance(error, RedisError | OSError):
        return str(error)
    return "it gives answers that are none of Redis: look at what listens at the address"


class Asked(Enum):
    """What was asked of Redis."""

    LOOKUP = auto()  # which also counts, so it writes
    FIND = auto()  # only reads
    WRITE = auto()


@dataclass
class _Episode:
    """For how long Redis has refused something for one reason."""

    number: int  # of those that followed each other closely
    num_refusals: int = 0
    is_on: bool = True
    changed_at: float = 0.0  # the last refusal; once it is over, the end
    refused: set[Asked] = field(default_factory=set)  # what has not succeeded since

    @property
    def quiet_seconds(self) -> float:
        """How long there must be no refusal for it to be over."""
        return backoff_seconds(self.number, FIRST_QUIET_SECONDS)


class Refusals:
    """Knows when refusals for a reason begin and end, so that each is told once. No I/O.

    Something may be refused to some and granted to others, as by one full node of a cluster. So
    refusals end with a while in which there was none, the longer the more often they came back.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._episodes: dict[Problem, _Episode] = {}
        self._num_on = 0

    def refuse(self, problem: Problem, asked: Asked) -> bool:
        """Note a refusal; return whether it is the first for this reason."""
        now = self._clock()
        episode = self._episodes.get(problem)
        is_first = episode is None or not episode.is_on
        if episode is None or not episode.is_on:
            is_new = episode is None or now >= episode.changed_at + FORGET_SECONDS
            episode = _Episode(1 if is_new or episode is None else episode.number + 1)
            self._episodes[problem] = episode
            self._num_on += 1
        episode.num_refusals += 1
        episode.changed_at = now
        episode.refused.add(asked)
        return is_first

    def grant(self, asked: Asked) -> float | None:
        """Note a success; return after how many seconds something may have ended, if at all."""
        if not self._num_on:
            return None
        return min(
            (
                episode.quiet_seconds
                for problem, episode in self._episodes.items()
                if episode.is_on and _is_lifted(problem, episode.refused, asked)
            ),
            default=None,
        )

    def end(self) -> list[tuple[Problem, int]]:
        """Return the reasons for which nothing is refused any more, with how much was."""
        now = self._clock()
        ended = [
            (problem, episode)
            for problem, episode in self._episodes.items()
            if episode.is_on
            and not episode.refused
            and now >= episode.changed_at + episode.quiet_seconds
        ]
        for _, episode in ended:
            episode.is_on = False
            episode.changed_at = now
        self._num_on -= len(ended)
        return [(problem, episode.num_refusals) for problem, episode in ended]


def _is_lifted(problem: Problem, refused: set[Asked], granted: Asked) -> bool:
    """Take from what is refused what a success disproves; return whether nothing is left."""
    before = len(refused)
    if problem in NARROW or granted is Asked.FIND:
        refused.discard(granted)
    else:
        refused.clear()
    return bool(before) and not refused
