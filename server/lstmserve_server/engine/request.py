"""What the engine is asked for, and by whom. Frozen, validated by whoever built it, torch-free."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass
from enum import IntEnum
from hashlib import blake2b

# Raise it whenever any reply to any request changes by a bit, in token or log-probability: what
# other servers have kept, perhaps for days, is this engine's own only if their revision is.
REVISION = 3
WORD = "I"  # 32 bits, little-endian on all that AVX2 runs on
STREAM_BYTES = 8
ANONYMOUS = ""  # the caller that all who give no name share
MAX_LOGPROBS = 20  # candidates per position that one request may ask for


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How one sequence chooses its tokens; every value is within its range.

    Applied in this order: logit_bias, repetition_penalty, frequency_penalty,
    presence_penalty, the request's min_tokens, its form, temperature. Of the distribution after
    that, top_k, top_p and min_p each keep some tokens, and what all of them keep is sampled from.
    """

    temperature: float = 1.0  # 0: greedy
    top_k: int = 0  # 0: all
    top_p: float = 1.0
    min_p: float = 0.0
    seed: int = 0  # unsigned, 64 bits
    num_logprobs: int | None = None  # None: log-probabilities are not wanted
    repetition_penalty: float = 1.0  # for tokens that stand in the prompt or the reply
    frequency_penalty: float = 0.0  # for each time a token stands in the reply
    presence_penalty: float = 0.0  # for tokens that stand in the reply
    logit_bias: tuple[tuple[int, float], ...] = ()  # (token id, what is added to its logit)

    @property
    def is_adjusted(self) -> bool:
        """Whether logits are changed before anything is chosen."""
        return (
            self.repetition_penalty != 1
            or self.frequency_penalty != 0
            or self.presence_penalty != 0
            or bool(self.logit_bias)
        )

    @property
    def is_filtered(self) -> bool:
        """Whether some tokens may not be drawn."""
        return self.top_k > 0 or self.top_p < 1 or self.min_p > 0


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One reply to generate; the reply is a function of this value and the model alone."""

    prompt_ids: tuple[int, ...]  # at least one
    sampling: SamplingParams
    max_tokens: int
    min_tokens: int = 0
    stop_sequences: tuple[str, ...] = ()
    resume_ids: tuple[int, ...] = ()  # tokens of this reply that exist already
    form_digest: bytes = b""  # of the form that it keeps; empty: it may say anything
    # its state when the reply begins, which prompt and form decide; None: that of its beginning
    form_start: int | None = None

    def random_stream(self) -> int:
        """Return the 64 bits that name the reply's random numbers; 0 for greedy replies.

        They are of the seed and of the prompt, so that one seed gives different luck to different
        prompts (docs/adr/0010-random-stream.md). What is resumed keeps its prompt, and so this.
        """
        if self.sampling.temperature == 0:
            return 0
        seed = self.sampling.seed.to_bytes(STREAM_BYTES, "little")
        prompt = array(WORD, self.prompt_ids).tobytes()
        return int.from_bytes(
            blake2b(prompt, digest_size=STREAM_BYTES, salt=seed).digest(), "little"
        )


class Priority(IntEnum):
    """Which requests go first when there are more than can run (``fair_queue`` says how)."""

    HIGH = 0
    NORMAL = 1
    LOW = 2


@dataclass(frozen=True, slots=True)
class Claim:
    """Who asks, how urgently, until when: decides a reply's turn and never its content."""

    caller: str = ANONYMOUS
    priority: Priority = Priority.NORMAL
    deadline: float = math.inf  # on the engine's clock


NO_CLAIM = Claim()
