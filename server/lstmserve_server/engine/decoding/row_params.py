"""The sampling parameters of the running rows, as the tensors that the sampler reads.

They are made in Python and go to TorchScript: where it returns a NamedTuple, torch makes a new
class for it in Python, which takes longer than all of these tensors. TorchScript reads the
annotations of a NamedTuple as types, so this module does not import ``annotations`` from
``__future__``.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lstmserve_server.engine.decoding.constraining import Forms
from lstmserve_server.engine.decoding.decode_row import DecodeRow
from lstmserve_server.engine.decoding.following import Grammars
from lstmserve_server.engine.decoding.taught import Taught

LOG2_E = math.log2(math.e)
NO_LIMIT = math.inf  # a share of the mass that nothing reaches


class RowParams(NamedTuple):
    """The sampling parameters of the running rows; what no row asks for costs nothing.

    k rows are sampled (not greedy), and f of those have top_k, top_p or min_p; l rows want
    log-probabilities; a rows have penalties or a bias. Parameters stand in the order of the index.
    """

    sampled: Tensor  # int64 [k]: rows
    stream: Tensor  # int64 [k, 1]: names the random numbers
    sharpness: Tensor  # float32 [k, 1]: log2(e) / temperature
    filtered: Tensor  # int64 [f]: places in `sampled`
    top_k: Tensor  # int64 [f, 1]; as many as there are tokens for all
    top_p: Tensor  # float64 [f, 1]; infinite for all
    min_p: Tensor  # float32 [f, 1]
    any_ranked: bool  # any of them has top_k or top_p
    adjusted: Tensor  # int64 [a]: rows
    bias: Tensor  # float32 [a, tokens]
    any_repetition: bool
    repetition_of_seen: Tensor  # float32 [a, 1]
    repetition: Tensor  # float32 [a, tokens]: that of seen, or 1; kept up to date
    any_counted: bool
    frequency: Tensor  # float32 [a, 1]
    counts: Tensor  # float32 [a, tokens]: how often each stands in the reply; kept up to date
    presence_of_seen: Tensor  # float32 [a, 1]
    presence: Tensor  # float32 [a, tokens]: that of seen, or 0; kept up to date
    min_tokens: Tensor  # int64 [rows]
    any_min_tokens: bool
    scored: Tensor  # int64 [l]: rows
    forms: Forms
    grammars: Grammars


class Adjustments(NamedTuple):
    """What RowParams holds of the rows that have penalties or a bias; its fields are told there."""

    bias: Tensor
    any_repetition: bool
    repetition_of_seen: Tensor
    repetition: Tensor
    any_counted: bool
    frequency: Tensor
    counts: Tensor
    presence_of_seen: Tensor
    presence: Tensor


def to_params(
    rows: Sequence[DecodeRow], num_tokens: int, taught: Taught, grammars: Grammars
) -> RowParams:
    """Return the parameters of rows, of which a model has this many tokens to choose from.

    ``taught`` holds the automata of their forms.
    """
    asked = [row.sampling for row in rows]
    sampled = [number for number, params in enumerate(asked) if params.temperature > 0]
    drawn = [asked[row] for row in sampled]
    filtered = [place for place, params in enumerate(drawn) if params.is_filtered]
    kept = [drawn[place] for place in filtered]
    adjusted = [number for number, params in enumerate(asked) if params.is_adjusted]
    changed = _adjustments([rows[row] for row in adjusted], num_tokens)
    # as float32, in which filters compare
    shares = _column(params.top_p if params.top_p < 1 else NO_LIMIT for params in kept)
    return RowParams(
        sampled=_int64(sampled),
        stream=_int64(_signed(rows[row].stream) for row in sampled).unsqueeze(1),
        sharpness=_column(_sharpness(params.temperature) for params in drawn),
        filtered=_int64(filtered),
        top_k=_int64(params.top_k or num_tokens for params in kept).unsqueeze(1),
        top_p=shares.to(torch.float64),
        min_p=_column(params.min_p for params in kept),
        any_ranked=any(params.top_k > 0 or params.top_p < 1 for params in kept),
        adjusted=_int64(adjusted),
        bias=changed.bias,
        any_repetition=changed.any_repetition,
        repetition_of_seen=changed.repetition_of_seen,
        repetition=changed.repetition,
        any_counted=changed.any_counted,
        frequency=changed.frequency,
        counts=changed.counts,
        presence_of_seen=changed.presence_of_seen,
        presence=changed.presence,
        min_tokens=_int64(row.min_tokens for row in rows),
        any_min_tokens=any(row.position < row.min_tokens for row in rows),
        scored=_int64(number for number, row in enumerate(rows) if row.is_scored),
        forms=_forms(rows, taught),
        grammars=grammars,
    )


def _forms(rows: Sequence[DecodeRow], taught: Taught) -> Forms:
    kept = {number: row.form for number, row in enumerate(rows) if row.form is not None}
    places = [taught.place_of(form.digest) for form in kept.values()]
    states = zip(places, kept.values(), strict=True)
    return Forms(
        rows=_int64(kept),
        packed=_int64(number for number, place in enumerate(places) if place.is_packed),
        number=_int64(place.number for place in places),
        state=_int64(place.first_state + form.state for place, form in states),
        max_tokens=_int64(form.max_tokens for form in kept.values()),
        automata=taught.automata if kept else _NO_AUTOMATA,
    )


def _adjustments(rows: Sequence[DecodeRow], num_tokens: int) -> Adjustments:
    """Return what rows have that all have penalties or a bias."""
    if not rows:  # every tensor costs some microseconds
        table = torch.zeros(0, num_tokens)
        return Adjustments(
            table, False, _NO_COLUMN, table, False, _NO_COLUMN, table, _NO_COLUMN, table
        )
    asked = [row.sampling for row in rows]
    counts = _counts([row.reply_ids for row in rows], num_tokens)
    seen = counts + _counts([row.prompt_ids for row in rows], num_tokens) > 0
    repetition = _column(params.repetition_penalty for params in asked)
    frequency = _column(params.frequency_penalty for params in asked)
    presence = _column(params.presence_penalty for params in asked)
    return Adjustments(
        bias=_biases([params.logit_bias for params in asked], num_tokens),
        any_repetition=bool((repetition != 1).any()),
        repetition_of_seen=repetition,
        repetition=torch.where(seen, repetition, 1.0),
        any_counted=bool(((frequency != 0) | (presence != 0)).any()),
        frequency=frequency,
        counts=counts,
        presence_of_seen=presence,
        presence=torch.where(counts > 0, presence, 0.0),
    )


def _signed(value: int) -> int:
    """Return an unsigned 64-bit number as the int64 of the same bits."""
    return value - (1 << 64) if value >= 1 << 63 else value


def _sharpness(temperature: float) -> float:
    return min(LOG2_E / temperature, 1e6)  # bounded: 0 times infinity would be no number


def _int64(values: Iterable[int]) -> Tensor:
    """-> int64 [n]."""
    given = list(values)
    return torch.tensor(given) if given else _NONE


def _column(values: Iterable[float]) -> Tensor:
    """-> float32 [n, 1]."""
    given = list(values)
    return torch.tensor(given, dtype=torch.float32).unsqueeze(1) if given else _NO_COLUMN


def _biases(biases: Sequence[Sequence[tuple[int, float]]], num_tokens: int) -> Tensor:
    """-> float32 [rows, tokens]."""
    table = torch.zeros(len(biases), num_tokens)
    for row, given in enumerate(biases):
        if given:
            ids, values = zip(*given, strict=True)
            table[row].index_copy_(0, torch.tensor(ids), torch.tensor(values, dtype=torch.float32))
    return table


def _counts(token_ids: Sequence[Sequence[int]], num_tokens: int) -> Tensor:
    """Count how often each token stands in each row; -> float32 [rows, tokens]."""
    counts = torch.zeros(len(token_ids), num_tokens)
    for row, ids in enumerate(token_ids):
        if ids:
            counts[row].index_add_(0, torch.tensor(ids), torch.ones(len(ids)))
    return counts


# most groups of rows are empty, and nothing is ever written into these
_NONE = torch.zeros(0, dtype=torch.int64)
_NO_COLUMN = torch.zeros(0, 1)
_NO_AUTOMATA = Taught(0).automata
