"""What the engine gives back.

Several are made for each message, and structs of msgspec in a tenth of a dataclass's time.
"""

from __future__ import annotations

from enum import Enum, auto

import msgspec
from msgspec.structs import replace


class FinishReason(Enum):
    """Why a reply is complete."""

    END_OF_TEXT = auto()
    MAX_TOKENS = auto()
    STOP_SEQUENCE = auto()


class TokenLogprobs(msgspec.Struct, frozen=True, array_like=True):
    """Log-probabilities in nats at one position, by the model's own distribution."""

    logprob: float
    top: tuple[tuple[int, float], ...]  # (token id, log-probability), most likely first


class Timings(msgspec.Struct, frozen=True):
    """Seconds on the engine's clock, counted from the request's arrival where not said."""

    queue_seconds: float
    prefill_seconds: float  # duration
    decode_seconds: float  # duration
    time_to_first_token_seconds: float
    total_seconds: float
    arrived_at: float = 0.0  # a moment on that clock

    @property
    def work_seconds(self) -> float:
        """The time that the engine worked on it."""
        return self.prefill_seconds + self.decode_seconds

    def delayed(self, seconds: float) -> Timings:
        """Return the times of a request that waited so much longer before it came to the engine."""
        return replace(
            self,
            time_to_first_token_seconds=self.time_to_first_token_seconds + seconds,
            total_seconds=self.total_seconds + seconds,
        )


class Finish(msgspec.Struct, frozen=True):
    """The end of a reply."""

    reason: FinishReason
    stop_sequence: str
    num_tokens: int  # of the whole reply, resumed ones included
    timings: Timings


class Output(msgspec.Struct, frozen=True):
    """A further part of one reply."""

    text: str
    token_ids: list[int]
    logprobs: list[TokenLogprobs]
    finish: Finish | None = None
