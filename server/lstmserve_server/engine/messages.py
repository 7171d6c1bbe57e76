"""What a server process and the process of an engine tell each other: one message a turn each way.

Both run the same code on the same machine, so a message is a MessagePack array of values in the
order in which they stand here. Times are of the monotonic clock, which processes share.
"""

from __future__ import annotations

from typing import Final

import msgspec

from lstmserve_server.config import EngineConfig
from lstmserve_server.engine.constraints.automaton import Automaton
from lstmserve_server.engine.constraints.grammar import Grammar
from lstmserve_server.engine.output import TokenLogprobs
from lstmserve_server.engine.prefix import KnownState
from lstmserve_server.engine.request import Claim, GenerationRequest
from lstmserve_server.errors import (
    CallerShareError,
    DeadlineError,
    DeadlineInfeasibleError,
    FormTooComplexError,
    LstmserveError,
    QueueFullError,
    QueueTokensFullError,
    ResumeMismatchError,
)

LATE = "the deadline passed before the reply ended"
LENGTH_BYTES = 4  # before every message: how many bytes it has
MAX_BYTES = 64 << 20  # of a message; a full turn with the most log-probabilities has a third of it
BYTE_ORDER: Final = "little"


class Message(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Base of everything that is sent."""


# --- to the engine ---------------------------------------------------------------------------


class Order(Message, frozen=True):
    """The first message: what to load, and how to run it."""

    name: str
    version: int
    folder: str
    config: EngineConfig
    threads: int
    is_beside_others: bool  # replies of other versions run meanwhile, and go first
    difference: str | None = None  # what a proof has found, empty for nothing; None: to be proved


class Submit(Message, frozen=True, tag=1):
    """Begin a reply, or go on with it after its ``resume_ids``."""

    reply_id: int
    request: GenerationRequest
    claim: Claim
    arrived_at: float
    known: KnownState | None = None
    wanted: tuple[int, ...] = ()
    is_measured: bool = False
    is_admitted: bool = False  # by an engine before this one: it is not refused for lack of room
    is_suspect: bool = False  # an engine may have died of it: its first turn is taken alone


class Amend(Message, frozen=True, tag=2):
    """Give a reply another deadline and priority."""

    reply_id: int
    claim: Claim


class Cancel(Message, frozen=True, tag=3):
    """Forget a reply, and say that it is gone."""

    reply_id: int


class Park(Message, frozen=True, tag=4):
    """Set a reply aside until its reader has caught up."""

    reply_id: int


class Unpark(Message, frozen=True, tag=5):
    """Let a parked reply go on."""

    reply_id: int


class Teach(Message, frozen=True, tag=6):
    """Know a form by its digest, before a reply that keeps it."""

    digest: bytes
    taught: Automaton | Grammar


class TeachTokens(Message, frozen=True, tag=8):
    """Know what the model's tokens stand for, before the first grammar."""

    tokens: tuple[bytes, ...]  # by number; empty for those that no form allows


class Forget(Message, frozen=True, tag=7):
    """Let a form go that no reply keeps any more."""

    digest: bytes


Command = Submit | Amend | Cancel | Park | Unpark | Teach | TeachTokens | Forget


# --- from the engine -------------------------------------------------------------------------


class Loaded(Message, frozen=True, tag=1):
    """The version runs."""

    digest: str  # of what was loaded
    difference: str  # what replies depend on besides their requests; empty: nothing
    state_bytes: int  # of all states in the pool
    row_bytes: int  # of one state that is kept
    warnings: tuple[str, ...]  # what was done without


class Refused(Message, frozen=True, tag=2):
    """The version cannot be served, and the process ends."""

    reason: str  # one line


class Row(Message, frozen=True):
    """Further tokens of one reply."""

    reply_id: int
    token_ids: list[int]
    logprobs: list[TokenLogprobs]  # of each token, where the caller wants them or we measure
    begun: tuple[float, float] | None  # with the first tokens: when it started, was prefilled
    # of a reply under a grammar: where else it may end before a stop sequence, as only its engine
    # knows; in bytes from the beginning of the reply, of what was resumed too
    may_end_at: list[int] = []


class Refusal(Message, frozen=True):
    """Why a reply gets no further tokens, or none."""

    reply_id: int
    kind: str
    text: str
    retry_seconds: float | None

    @classmethod
    def of(cls, reply_id: int, error: LstmserveError) -> Refusal:
        """Return the message for one of the errors that engines raise."""
        retry = error.retry_seconds if isinstance(error, QueueFullError) else None
        return cls(reply_id, type(error).__name__, str(error), retry)

    def to_error(self) -> LstmserveError:
        """Return the error that it was made of."""
        if self.retry_seconds is not None:
            return QUEUE_ERRORS[self.kind](self.text, self.retry_seconds)
        return OTHER_ERRORS[self.kind](self.text)


class Load(Message, frozen=True):
    """How busy an engine is."""

    running: int = 0  # replies that prefill or decode
    waiting: int = 0
    waiting_tokens: int = 0  # prompt tokens and max_tokens of those that wait
    parked: int = 0  # begun and set aside: they hold no row


class Turn(Message, frozen=True, tag=3):
    """What came of one turn: commands, prefill and a quantum."""

    now: float
    rows: list[Row]
    states: list[tuple[int, KnownState]]  # wanted ones, by reply; before its rows
    refusals: list[Refusal]
    gone: list[int]  # replies that were cancelled
    decoded: tuple[int, int, float] | None  # rows, steps, seconds
    num_wasted: int  # tokens that were decoded after the ends of replies
    load: Load
    drafted: tuple[int, int]  # tokens that were guessed ahead, and those of them that were right


FromEngine = Loaded | Refused | Turn

QUEUE_ERRORS = {
    kind.__name__: kind for kind in (QueueFullError, QueueTokensFullError, CallerShareError)
}
OTHER_ERRORS = {
    kind.__name__: kind
    for kind in (
        DeadlineError,
        DeadlineInfeasibleError,
        FormTooComplexError,
        ResumeMismatchError,
    )
}

# --- bytes -----------------------------------------------------------------------------------

_encoder = msgspec.msgpack.Encoder()
ORDERS = msgspec.msgpack.Decoder(Order)
COMMANDS = msgspec.msgpack.Decoder(list[Command])
ANSWERS = msgspec.msgpack.Decoder(FromEngine)


def frame(message: Message | list[Command]) -> bytearray:
    """Return a message as it is sent, its length first."""
    buffer = bytearray(LENGTH_BYTES)
    _encoder.encode_into(message, buffer, LENGTH_BYTES)
    buffer[:LENGTH_BYTES] = (len(buffer) - LENGTH_BYTES).to_bytes(LENGTH_BYTES, BYTE_ORDER)
    return buffer


class Unframer:
    """Cuts what is received into messages."""

    def __init__(self) -> None:
        self._received = bytearray()

    def add(self, data: bytes) -> list[bytes]:
        """Return the messages that these further bytes complete.

        Raises ValueError for one that is too long: its sender is not what it should be.
        """
        self._received += data
        messages, start = [], 0
        while len(self._received) - start >= LENGTH_BYTES:
            begin = start + LENGTH_BYTES
            size = int.from_bytes(self._received[start:begin], BYTE_ORDER)
            if size > MAX_BYTES:
                raise ValueError(f"a message of {size} bytes; at most {MAX_BYTES} are taken")
            end = begin + size
            if len(self._received) < end:
                break
            messages.append(bytes(self._received[begin:end]))
            start = end
        del self._received[:start]
        return messages
