"""One reply in the making."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto

from lstmserve_server.engine.request import Claim, GenerationRequest


class Stage(Enum):
    """Where a sequence is."""

    NONE = auto()  # not in the engine yet, or not any more
    WAITING = auto()
    PREFILLING = auto()  # its prompt, or about to get a row
    RUNNING = auto()  # in a row
    PARKED = auto()  # until its reader has caught up
    RETURNING = auto()  # waits for a place it had before


@dataclass(eq=False, slots=True)
class Sequence:
    """A request on its way through the engine; times are on the engine's clock."""

    id: int
    request: GenerationRequest
    claim: Claim
    end_id: int  # the token that ends it
    arrived_at: float
    num_known: int = 0  # tokens of the prompt whose effect is in the state from the start
    wanted: tuple[int, ...] = ()  # the states after so many tokens each
    is_measured: bool = False  # its tokens are scored, whether or not the caller asked for that
    is_suspect: bool = False  # takes its first turn alone
    stage: Stage = Stage.NONE
    token_ids: list[int] = field(init=False)
    stream: int = field(init=False)  # names its random numbers
    _given: tuple[int, ...] = field(init=False)
    num_prefilled: int = field(init=False)  # given tokens whose effect is in the state
    started_at: float = 0.0
    prefilled_at: float = 0.0

    def __post_init__(self) -> None:
        self.token_ids = list(self.request.resume_ids)
        self._given = self.request.prompt_ids + self.request.resume_ids
        self.num_prefilled = self.num_known
        self.stream = self.request.random_stream()  # once: a prompt may be long

    @property
    def cost(self) -> int:
        """Return the most tokens it may take, prefilled and generated."""
        return len(self.request.prompt_ids) - self.num_known + self.request.max_tokens

    @property
    def num_worked(self) -> int:
        """Return how many tokens it has taken so far, prefilled and generated."""
        generated = len(self.token_ids) - len(self.request.resume_ids)
        return self.num_prefilled - self.num_known + generated

    @property
    def least_steps(self) -> int:
        """The tokens that the reply still has at least."""
        request = self.request
        if request.stop_sequences:  # which may end it before min_tokens
            return 1
        return max(1, request.min_tokens - len(self.token_ids))

    @property
    def num_to_prefill(self) -> int:
        """Return how many tokens to prefill; the last one given is the first decode step's."""
        return len(self._given) - 1 - self.num_prefilled

    def next_to_prefill(self, count: int) -> tuple[int, ...]:
        """Return the next tokens to prefill: at most so many, none after a wanted state."""
        end = self.num_prefilled + min(count, self.num_to_prefill)
        if self.wanted:
            end = min([end, *(n for n in self.wanted if n > self.num_prefilled)])
        return self._given[self.num_prefilled : end]

    @property
    def is_state_wanted(self) -> bool:
        """Whether the state after what was just prefilled is to be given out."""
        return self.num_prefilled in self.wanted

    @property
    def next_input(self) -> int:
        """The token that the next decode step reads."""
        return self.token_ids[-1] if self.token_ids else self._given[-1]

    @property
    def position(self) -> int:
        """The number of the token to come; the random numbers depend on it."""
        return len(self.token_ids)

    @property
    def num_remaining(self) -> int:
        return self.request.max_tokens - len(self.token_ids)

    @property
    def has_new_token(self) -> bool:
        return len(self.token_ids) > len(self.request.resume_ids)

    @property
    def is_finished(self) -> bool:
        """Whether nothing follows; a stop sequence, which is text, may end it before that."""
        return self.num_remaining <= 0 or self.token_ids[-1:] == [self.end_id]

    def extend(self, token_ids: list[int]) -> list[int]:
        """Take further tokens up to where the reply ends; return those that were taken."""
        taken = token_ids[: self.num_remaining]
        if self.end_id in taken:
            taken = taken[: taken.index(self.end_id) + 1]
        self.token_ids += taken
        return taken
