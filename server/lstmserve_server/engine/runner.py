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
from lstmserve_server.engine.row_params import DecodeRow, make_params
from lstmserve_server.engine.sampler import RowParams, Scores

State = Tensor


@dataclass(frozen=True, slots=True)
class Decoded:
    """The tokens of one row, and their log-probabilities if it asked for them."""

    token_ids: list[int]
    logprobs: list[TokenLogprobs]


class Runner:
    """Runs one loaded decode loop over a pool of rows."""

    def __init__(self, loop: torch.jit.ScriptModule, max_rows: int, num_tokens: int) -> None:
        self._loop = loop
        self._num_tokens = num_tokens
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
            self._params = make_params(rows, self._num_tokens)
        state = self._pool[: len(rows)]
        tokens = torch.tensor([row.token_id for row in rows])
        position = torch.tensor([row.position for row in rows])
        after, chosen, scores = self._loop(state, tokens, position, self._params, steps)
        if after.data_ptr() != state.data_ptr():  # a model may work in place
            state.copy_(after)
        logprobs = _read_logprobs(scores, self._params.scored.tolist(), rows)
        return [
            Decoded(token_ids, logprobs.get(row, []))
            for row, token_ids in enumerate(chosen.t().tolist())
        ]


def _read_logprobs(
    scores: Sequence[Scores], scored: Sequence[int], rows: Sequence[DecodeRow]
) -> dict[int, list[TokenLogprobs]]:
    found: dict[int, list[TokenLogprobs]] = {row: [] for row in scored}
    for step in scores:
        columns = (column.tolist() for column in step)
        for row, total, chosen, ids, top in zip(scored, *columns, strict=True):
            wanted = rows[row].sampling.num_logprobs or 0
            norm = math.log(total)  # one scalar at a time: vector and tail code could differ
            candidates = tuple(zip(ids[:wanted], (x - norm for x in top[:wanted]), strict=True))
            found[row].append(TokenLogprobs(chosen - norm, candidates))
    return found
