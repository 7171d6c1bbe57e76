"""What the engine is asked for. Frozen, validated by whoever built it, torch-free."""

from __future__ import annotations

from dataclasses import dataclass

MAX_LOGPROBS = 20  # candidates per position that one request may ask for


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How one sequence chooses its tokens; every value is within its range.

    Applied in this order: temperature, top_k, top_p, min_p.
    """

    temperature: float = 1.0  # 0: greedy
    top_k: int = 0  # 0: all
    top_p: float = 1.0
    min_p: float = 0.0
    seed: int = 0  # unsigned, 64 bits
    num_logprobs: int | None = None  # None: log-probabilities are not wanted
    repetition_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    logit_bias: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One reply to generate; the reply is a function of this value and the model alone."""

    prompt_ids: tuple[int, ...]  # at least one
    sampling: SamplingParams
    max_tokens: int
    min_tokens: int = 0
    stop_sequences: tuple[str, ...] = ()
    resume_ids: tuple[int, ...] = ()  # tokens of this reply that exist already
