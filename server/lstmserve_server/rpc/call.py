"""One RPC: what identifies it, what came of it, and who is told when it ends."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol

from lstmserve_server.engine.output import Timings
from lstmserve_server.rpc.identity import NOBODY, Identity
from lstmserve_server.rpc.metadata import TraceHeaders

# which versions answer, the digest of a request's bytes, whose part of the cache it is, and who
# decides between versions
RequestKey = tuple[int, bytes, str, str]


@dataclass(frozen=True, slots=True)
class Call:
    """What identifies one RPC."""

    rpc: str  # the method's name
    request_id: str
    service: str = ""
    trace: TraceHeaders = field(default_factory=dict)
    trace_id: str = ""  # 32 hexadecimal digits, where the caller or this server traces
    identity: Identity = NOBODY  # of whoever is known so far

    @property
    def method(self) -> str:
        """``service/method``."""
        return f"{self.service}/{self.rpc}"

    @property
    def caller(self) -> str:
        """Who calls, as logs and traces tell, and as turns are shared out."""
        return self.identity.name


@dataclass(frozen=True, slots=True)
class Transcript:
    """What a caller asked, and the reply as far as it came."""

    prompt: str
    reply: str


@dataclass(frozen=True, slots=True)
class Served:
    """What only the servicer knows of a call: the model, and how far the reply came."""

    model: str = ""
    version: str = ""
    prompt_tokens: int = 0
    generated_tokens: int = 0
    finish_reason: str = ""
    cache: str = ""
    lookup_seconds: float = 0.0  # in the cache, before the model was asked
    timings: Timings | None = None  # of a complete reply
    transcript: Transcript | None = None  # where prompts and replies are logged


NOTHING_SERVED = Served()


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """How an RPC ended; made once, when it has."""

    code: str  # the name of the status code
    seconds: float
    error: str = ""  # the reason in the ErrorInfo of the error that ended it
    served: Served = NOTHING_SERVED


@dataclass(slots=True)
class RunningCall:
    """The call that a servicer serves; it hands over what it served once, when it is done."""

    call: Call
    served: Served = NOTHING_SERVED
    key: RequestKey | None = None  # of the request as it came, if others like it may come


current_call: ContextVar[RunningCall] = ContextVar("current_call")


class CallEndObserver(Protocol):
    """Told of every RPC's end; must be quick and must not raise."""

    def on_call_end(self, call: Call, outcome: CallOutcome) -> str | None:
        """Tell that an RPC has ended.

        Returns the id of the trace that the call has got by that, for those told afterwards.
        """


class ReplyObserver(Protocol):
    """Told what becomes of one reply; must be quick and must not raise."""

    def another(self) -> ReplyObserver:
        """Return who is told of a further reply to the same request."""

    def on_tokens(self, count: int, cache: str) -> None:
        """Tell that tokens came, from wherever the cache's outcome says."""

    def on_discarded(self, count: int) -> None:
        """Tell that tokens came from the model, and nobody gets them."""

    def on_finished(self, timings: Timings, saved_seconds: float) -> None:
        """Tell that the reply is complete, and how much of the model's work the cache saved."""

    def on_outcome(self, outcome: str) -> None:
        """Tell what became of a complete reply to a request that was classified."""


class CallObserver(CallEndObserver, Protocol):
    """Told what callers do; must be quick and must not raise."""

    def on_accepted(
        self, call: Call, model: str, version: str, prompt_tokens: int
    ) -> ReplyObserver:
        """Tell that a request passed every check; returns who is told of its reply."""

    def on_classified(self, model: str, version: str, label: str, probability: float) -> None:
        """Tell what a text is about, by the version's classifier."""
