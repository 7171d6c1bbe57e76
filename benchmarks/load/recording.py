"""What happened during a load, as it is written down on the way: cheap first, figures later."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from math import nan
from time import monotonic

from benchmarks.load.dialect import Dialect
from benchmarks.load.transport import Status

INCOMPLETE = "INCOMPLETE"  # OK, but not a whole reply
UNFINISHED = "UNFINISHED"  # still running when the load was given up


@dataclass(frozen=True)
class Window:
    """What is measured: from start to end, in seconds of the monotonic clock."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class ReplyRecord:
    """One request; times in seconds of the monotonic clock."""

    intended: float  # when it was to be sent: waiting for its turn counts
    first_token: float  # nan without one
    end: float
    tokens: int
    code: str


@dataclass
class Recording:
    """Messages with tokens, in order of arrival, and replies in order of their end."""

    arrivals: array[float] = field(default_factory=lambda: array("d"))
    tokens: array[int] = field(default_factory=lambda: array("I"))
    # seconds since the message before of the same reply; nan for a reply's first
    gaps: array[float] = field(default_factory=lambda: array("d"))
    replies: list[ReplyRecord] = field(default_factory=list)

    def merge(self, other: Recording) -> None:
        self.arrivals.extend(other.arrivals)
        self.tokens.extend(other.tokens)
        self.gaps.extend(other.gaps)
        self.replies.extend(other.replies)


class ReplyRecorder:
    """Writes down one reply while it arrives."""

    __slots__ = ("_count", "_first", "_intended", "_last", "_last_message", "_recording", "_tokens")

    def __init__(self, recording: Recording, dialect: Dialect, intended: float) -> None:
        self._recording = recording
        self._count: Callable[[bytes], int] = dialect.count_tokens
        self._intended = intended
        self._first = self._last = nan
        self._last_message = b""
        self._tokens = 0

    def on_message(self, message: bytes) -> None:
        now = monotonic()
        self._last_message = message
        tokens = self._count(message)
        if not tokens:
            return
        if not self._tokens:
            self._first = now
        self._tokens += tokens
        recording = self._recording
        recording.arrivals.append(now)
        recording.tokens.append(tokens)
        recording.gaps.append(now - self._last)
        self._last = now

    def finish(self, status: Status, dialect: Dialect) -> str:
        """Close the record; its code."""
        code = status.code
        if code == "OK" and not dialect.is_complete(self._last_message):
            code = INCOMPLETE
        self._recording.replies.append(
            ReplyRecord(self._intended, self._first, monotonic(), self._tokens, code)
        )
        return code
