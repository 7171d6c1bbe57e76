"""What is known of a prompt before it is prefilled, and which of its states are wanted.

A state is what the model keeps of the tokens so far: one row of floats, as bytes. It decides
nothing about a reply that its tokens do not, so none of this is part of a request.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KnownState:
    """The state after the first tokens of a prompt."""

    num_tokens: int
    data: bytes  # see engine/decoding/state_format.py


@dataclass(frozen=True, slots=True)
class PromptStates:
    """The state that a prompt's prefill starts from, and the states to give out on its way."""

    known: KnownState | None = None  # where to begin; None: with the first token
    wanted: tuple[int, ...] = ()  # after so many tokens each, ascending; known ones are skipped

    @property
    def num_known(self) -> int:
        """How many tokens need no prefill."""
        return 0 if self.known is None else self.known.num_tokens

    def check(self, num_tokens: int, state_bytes: int) -> None:
        """Raise ValueError unless it fits a prompt of so many tokens and states of this size.

        The last token of a prompt belongs to the first decode step, so no state is after that one.
        """
        if any(a >= b for a, b in zip((0, *self.wanted), (*self.wanted, num_tokens), strict=True)):
            raise ValueError(
                f"wanted: positions must ascend from 1 to {num_tokens - 1} at most, not "
                f"{self.wanted}"
            )
        if self.known is None:
            return
        if not 0 < self.num_known < num_tokens:
            raise ValueError(
                f"known: a state after 1 to {num_tokens - 1} tokens is of use, not after "
                f"{self.num_known}"
            )
        if len(self.known.data) != state_bytes:
            raise ValueError(
                f"known: a state of this model has {state_bytes} bytes, not {len(self.known.data)}"
            )


WHOLE_PROMPT = PromptStates()
