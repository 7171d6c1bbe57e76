"""Everything torch does for the engine: one model, its running rows, its arithmetic.

A state is an opaque handle to the engine: float32 [1, S]. One thread uses a runner.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lstmserve_server.engine.output import TokenLogprobs
from lstmserve_server.engine.request import MAX_LOGPROBS, SamplingParams
from lstmserve_server.engine.sampler import Choice, RowParams, signed

State = Tensor
LOG2_E = math.log2(math.e)


@dataclass(frozen=True, slots=True)
class DecodeRow:
    """What one row of a decode call needs to know."""

    token_id: int  # read by the first step
    position: int  # of the token that the first step chooses
    sampling: SamplingParams
    min_tokens: int


@dataclass(frozen=True, slots=True)
class Decoded:
    """The tokens of one row, and their log-probabilities if it asked for them."""

    token_ids: list[int]
    logprobs: list[TokenLogprobs]


class Runner:
    """Runs one loaded decode loop over a pool of rows."""

    def __init__(self, loop: torch.jit.ScriptModule, max_rows: int) -> None:
        self._loop = loop
        self._pool: Tensor = loop.initial_state(max_rows)
        self._params: RowParams | None = None

    @property
    def state_bytes(self) -> int:
        return self._pool.nbytes

    def initial_state(self) -> State:
        """The state before the first token."""
        state: State = self._loop.initial_state(1)
        return state

    @torch.inference_mode()
    def prefill(self, states: Sequence[State], pieces: Sequence[Sequence[int]]) -> list[State]:
        """Read one piece of tokens into each state; returns the states after them."""
        lengths = torch.tensor([len(piece) for piece in pieces])
        tokens = torch.zeros(len(pieces), int(lengths.max()), dtype=torch.int64)
        for row, piece in enumerate(pieces):
            tokens[row, : len(piece)] = torch.tensor(piece)
        after = self._loop.prefill(torch.cat(list(states)), tokens, lengths)
        return list(after.split(1))

    @torch.inference_mode()
    def join(self, row: int, state: State) -> None:
        """Put a state into a row of the running batch."""
        self._pool[row : row + 1] = state
        self._params = None

    @torch.inference_mode()
    def take(self, row: int) -> State:
        """A copy of a row's state, to join with later; the row stays as it is."""
        return self._pool[row : row + 1].clone()

    @torch.inference_mode()
    def move(self, target: int, source: int) -> None:
        """Let the sequence of one row sit in another; the source row is free afterwards."""
        if target != source:
            self._pool[target] = self._pool[source]
        self._params = None

    @torch.inference_mode()
    def decode(self, rows: Sequence[DecodeRow], steps: int) -> list[Decoded]:
        """Decode up to ``steps`` tokens for rows 0 to len(rows) - 1.

        Fewer steps come back when every row has chosen the end token before that.
        """
        if self._params is None:
            self._params = make_params(rows)
        state = self._pool[: len(rows)]
        tokens = torch.tensor([row.token_id for row in rows])
        position = torch.tensor([row.position for row in rows])
        after, choices = self._loop(state, tokens, position, self._params, steps)
        state.copy_(after)
        by_row = zip(*(choice.tokens.tolist() for choice in choices), strict=True)
        logprobs = _read_logprobs(choices, self._params.scored.tolist(), rows)
        return [
            Decoded(list(token_ids), logprobs.get(row, [])) for row, token_ids in enumerate(by_row)
        ]


def make_params(rows: Sequence[DecodeRow]) -> RowParams:
    """The parameters of rows as tensors."""
    asked = [row.sampling for row in rows]
    sampled = [number for number, params in enumerate(asked) if params.temperature > 0]
    drawn = [asked[row] for row in sampled]
    filtered = [n for n, params in enumerate(drawn) if params.top_k > 0 or params.top_p < 1]
    scored = [row for row, params in enumerate(asked) if params.num_logprobs is not None]
    return RowParams(
        sampled=_integers(sampled),
        seed=_integers([signed(params.seed) for params in drawn]).unsqueeze(1),
        sharpness=_column([_sharpness(params.temperature) for params in drawn]),
        min_p=_column([params.min_p for params in drawn]),
        any_min_p=any(params.min_p > 0 for params in drawn),
        filtered=_integers(filtered),
        top_k=_integers([drawn[place].top_k for place in filtered]),
        top_p=torch.tensor([drawn[place].top_p for place in filtered], dtype=torch.float64),
        min_tokens=_integers([row.min_tokens for row in rows]),
        any_min_tokens=any(row.min_tokens > 0 for row in rows),
        scored=_integers(scored),
        num_top=MAX_LOGPROBS,
    )


def _integers(values: Sequence[int]) -> Tensor:
    return torch.tensor(values, dtype=torch.int64)


def _column(values: Sequence[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).unsqueeze(1)


def _sharpness(temperature: float) -> float:
    return min(LOG2_E / temperature, 1e6)  # bounded: 0 times infinity would be no number


def _read_logprobs(
    choices: Sequence[Choice], scored: Sequence[int], rows: Sequence[DecodeRow]
) -> dict[int, list[TokenLogprobs]]:
    found: dict[int, list[TokenLogprobs]] = {row: [] for row in scored}
    for choice in choices if scored else ():
        columns = (choice.total, choice.chosen, choice.top_ids, choice.top)
        for row, total, chosen, ids, top in zip(
            scored, *(column.tolist() for column in columns), strict=True
        ):
            wanted = rows[row].sampling.num_logprobs or 0
            norm = math.log(total)  # one scalar at a time: vector and tail code could differ
            candidates = tuple(zip(ids[:wanted], (x - norm for x in top[:wanted]), strict=True))
            found[row].append(TokenLogprobs(chosen - norm, candidates))
    return found
