"""The sampling parameters of the running rows, as the tensors that the sampler reads.

TorchScript reads the annotations of a NamedTuple as types, so this module does not
import ``annotations`` from ``__future__``.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from lstmserve_server.engine.decoding.constraining import Automata, Forms
from lstmserve_server.engine.decoding.decode_row import RowSettings
from lstmserve_server.engine.decoding.following import Grammars


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
    settings: RowSettings, num_tokens: int, automata: Automata, grammars: Grammars
) -> RowParams:
    """Return the tensors of lists, for a model of so many tokens; TorchScript."""
    if len(settings.adjusted) > 0:
        changed = _adjustments(settings, num_tokens)
    else:
        changed = _no_adjustments(num_tokens)
    return RowParams(
        sampled=torch.tensor(settings.sampled, dtype=torch.int64),
        stream=torch.tensor(settings.stream, dtype=torch.int64).unsqueeze(1),
        sharpness=_column(settings.sharpness),
        filtered=torch.tensor(settings.filtered, dtype=torch.int64),
        top_k=torch.tensor(settings.top_k, dtype=torch.int64).unsqueeze(1),
        top_p=torch.tensor(settings.top_p, dtype=torch.float32).to(torch.float64).unsqueeze(1),
        min_p=_column(settings.min_p),
        any_ranked=settings.any_ranked,
        adjusted=torch.tensor(settings.adjusted, dtype=torch.int64),
        bias=changed.bias,
        any_repetition=changed.any_repetition,
        repetition_of_seen=changed.repetition_of_seen,
        repetition=changed.repetition,
        any_counted=changed.any_counted,
        frequency=changed.frequency,
        counts=changed.counts,
        presence_of_seen=changed.presence_of_seen,
        presence=changed.presence,
        min_tokens=torch.tensor(settings.min_tokens, dtype=torch.int64),
        any_min_tokens=settings.any_min_tokens,
        scored=torch.tensor(settings.scored, dtype=torch.int64),
        forms=Forms(
            rows=torch.tensor(settings.constrained, dtype=torch.int64),
            packed=torch.tensor(settings.packed, dtype=torch.int64),
            number=torch.tensor(settings.form_numbers, dtype=torch.int64),
            state=torch.tensor(settings.form_states, dtype=torch.int64),
            max_tokens=torch.tensor(settings.form_max_tokens, dtype=torch.int64),
            automata=automata,
        ),
        grammars=grammars,
    )


def repeated(params: RowParams, count: int) -> RowParams:
    """Return the parameters of one row, without adjustments or a form, for so many steps.

    What broadcasts stays as it is. TorchScript.
    """
    steps = torch.arange(count)
    is_filtered = params.filtered.shape[0] > 0
    return RowParams(
        sampled=steps if params.sampled.shape[0] > 0 else params.sampled,
        stream=params.stream,
        sharpness=params.sharpness,
        filtered=steps if is_filtered else params.filtered,
        top_k=params.top_k.expand(count, 1) if is_filtered else params.top_k,
        top_p=params.top_p.expand(count, 1) if is_filtered else params.top_p,
        min_p=params.min_p.expand(count, 1) if is_filtered else params.min_p,
        any_ranked=params.any_ranked,
        adjusted=params.adjusted,
        bias=params.bias,
        any_repetition=params.any_repetition,
        repetition_of_seen=params.repetition_of_seen,
        repetition=params.repetition,
        any_counted=params.any_counted,
        frequency=params.frequency,
        counts=params.counts,
        presence_of_seen=params.presence_of_seen,
        presence=params.presence,
        min_tokens=params.min_tokens,
        any_min_tokens=params.any_min_tokens,
        scored=params.scored,
        forms=params.forms,
        grammars=params.grammars,
    )


def _adjustments(settings: RowSettings, num_tokens: int) -> Adjustments:
    counts = _counts(settings.reply_ids, num_tokens)
    seen = counts + _counts(settings.prompt_ids, num_tokens) > 0
    repetition = _column(settings.repetition)
    presence = _column(settings.presence)
    counted = _column(settings.frequency + settings.presence)
    return Adjustments(
        bias=_biases(settings.bias_ids, settings.biases, num_tokens),
        any_repetition=bool((repetition != 1).any()),
        repetition_of_seen=repetition,
        repetition=torch.where(seen, repetition, 1.0),
        any_counted=bool((counted != 0).any()),
        frequency=_column(settings.frequency),
        counts=counts,
        presence_of_seen=presence,
        presence=torch.where(counts > 0, presence, 0.0),
    )


def _no_adjustments(num_tokens: int) -> Adjustments:
    """Return those of no row: every tensor costs some microseconds, so few are made."""
    column, table = torch.zeros(0, 1), torch.zeros(0, num_tokens)
    return Adjustments(table, False, column, table, False, column, table, column, table)


def _column(values: list[float]) -> Tensor:
    """-> float32 [n, 1]."""
    return torch.tensor(values, dtype=torch.float32).unsqueeze(1)


def _biases(token_ids: list[list[int]], biases: list[list[float]], num_tokens: int) -> Tensor:
    """-> float32 [rows, tokens]."""
    table = torch.zeros(len(token_ids), num_tokens)
    for row, ids in enumerate(token_ids):
        table[row].index_copy_(
            0, torch.tensor(ids, dtype=torch.int64), torch.tensor(biases[row], dtype=torch.float32)
        )
    return table


def _counts(token_ids: list[list[int]], num_tokens: int) -> Tensor:
    """Count how often each token stands in each row; -> float32 [rows, tokens]."""
    counts = torch.zeros(len(token_ids), num_tokens)
    for row, ids in enumerate(token_ids):
        where = torch.tensor(ids, dtype=torch.int64)
        counts[row].index_add_(0, where, torch.ones(len(ids)))
    return counts
