"""What a decode call is told of each row, as plain lists that cross to TorchScript at once.

TorchScript reads the annotations of a NamedTuple as types, so this module does not
import ``annotations`` from ``__future__``.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from lstmserve_server.engine.decoding.drafts import CONTEXT
from lstmserve_server.engine.decoding.following import GrammarReply
from lstmserve_server.engine.decoding.taught import Place
from lstmserve_server.engine.request import SamplingParams

LOG2_E = math.log2(math.e)
NO_LIMIT = math.inf  # a share of the mass that nothing reaches


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


class RowSettings(NamedTuple):
    """The sampling parameters of rows; see RowParams for what each list holds."""

    sampled: list[int]
    stream: list[int]
    sharpness: list[float]
    filtered: list[int]
    top_k: list[int]
    top_p: list[float]
    min_p: list[float]
    any_ranked: bool
    adjusted: list[int]
    bias_ids: list[list[int]]
    biases: list[list[float]]
    repetition: list[float]
    frequency: list[float]
    presence: list[float]
    prompt_ids: list[list[int]]
    reply_ids: list[list[int]]
    min_tokens: list[int]
    any_min_tokens: bool
    scored: list[int]
    constrained: list[int]
    packed: list[int]
    form_numbers: list[int]
    form_states: list[int]
    form_max_tokens: list[int]


def gather_settings(
    rows: Sequence[DecodeRow], num_tokens: int, place_of: Callable[[bytes], Place]
) -> RowSettings:
    """Return the parameters of rows, of which a model has this many tokens to choose from.

    ``place_of`` tells where the automaton of a form lies.
    """
    asked = [row.sampling for row in rows]
    sampled = [number for number, params in enumerate(asked) if params.temperature > 0]
    drawn = [asked[row] for row in sampled]
    filtered = [place for place, params in enumerate(drawn) if params.is_filtered]
    kept = [drawn[place] for place in filtered]
    adjusted = [number for number, params in enumerate(asked) if params.is_adjusted]
    changed = [asked[row] for row in adjusted]
    forms = {number: row.form for number, row in enumerate(rows) if row.form is not None}
    places = [place_of(form.digest) for form in forms.values()]
    return RowSettings(
        sampled=sampled,
        stream=[_signed(rows[number].stream) for number in sampled],
        sharpness=[_sharpness(params.temperature) for params in drawn],
        filtered=filtered,
        top_k=[params.top_k or num_tokens for params in kept],
        top_p=[params.top_p if params.top_p < 1 else NO_LIMIT for params in kept],
        min_p=[params.min_p for params in kept],
        any_ranked=any(params.top_k > 0 or params.top_p < 1 for params in kept),
        adjusted=adjusted,
        bias_ids=[[token_id for token_id, _ in params.logit_bias] for params in changed],
        biases=[[bias for _, bias in params.logit_bias] for params in changed],
        repetition=[params.repetition_penalty for params in changed],
        frequency=[params.frequency_penalty for params in changed],
        presence=[params.presence_penalty for params in changed],
        prompt_ids=[list(rows[number].prompt_ids) for number in adjusted],
        reply_ids=[list(rows[number].reply_ids) for number in adjusted],
        min_tokens=[row.min_tokens for row in rows],
        any_min_tokens=any(row.position < row.min_tokens for row in rows),
        scored=[number for number, row in enumerate(rows) if row.is_scored],
        constrained=list(forms),
        packed=[number for number, place in enumerate(places) if place.is_packed],
        form_numbers=[place.number for place in places],
        form_states=[
            place.first_state + form.state
            for place, form in zip(places, forms.values(), strict=True)
        ],
        form_max_tokens=[form.max_tokens for form in forms.values()],
    )


def _signed(value: int) -> int:
    """Return an unsigned 64-bit number as the int64 of the same bits."""
    return value - (1 << 64) if value >= 1 << 63 else value


def _sharpness(temperature: float) -> float:
    return min(LOG2_E / temperature, 1e6)  # bounded: 0 times infinity would be no number
