"""What a decode call is told of each row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lstmserve_server.engine.decoding.drafts import CONTEXT
from lstmserve_server.engine.decoding.following import GrammarReply
from lstmserve_server.engine.request import SamplingParams


@dataclass(frozen=True, slots=True)
class FormRow:
    """Where a row is in the form that it keeps."""

    digest: bytes  # of an automaton that was taught
    state: int  # after the tokens of the reply so far
    max_tokens: int  # of the whole reply


@dataclass(frozen=True, slots=True)
class DecodeRow:
    """One row of a decode call."""

    slot: int  # where its state is
    token_id: int  # read by the first step
    position: int  # of the token that the first step chooses
    sampling: SamplingParams
    min_tokens: int
    prompt_ids: Sequence[int] = ()  # what penalties and guesses look at
    reply_ids: Sequence[int] = ()
    is_measured: bool = False
    stream: int = 0  # unsigned, 64 bits: names its random numbers
    form: FormRow | None = None  # that it keeps; None: it may say anything, or keeps a grammar
    grammar: GrammarReply | None = None  # the reply so far, of one that keeps a grammar

    @property
    def recent_ids(self) -> list[int]:
        """The token to read, behind those before it; zeros stand for those there are not."""
        given = [*self.prompt_ids[-CONTEXT:], *self.reply_ids[-CONTEXT:]]
        before = [*[0] * CONTEXT, *given[:-1]][1 - CONTEXT :]
        return [*before, self.token_id]

    @property
    def is_scored(self) -> bool:
        """Whether log-probabilities are wanted, by the caller or by us."""
        return self.is_measured or self.sampling.num_logprobs is not None
