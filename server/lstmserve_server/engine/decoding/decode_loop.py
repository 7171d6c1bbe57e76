"""All that torch does in a quantum, in one TorchScript call each.

There is no Python in the path of a token, but for rows that keep a grammar.

Every torch operation that Python calls gives the interpreter away, and on a busy server
waits to get it back. So numbers cross as plain lists, and few times.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lstmserve_server.engine.decoding.constraining import constrain, follow
from lstmserve_server.engine.decoding.drawing import uniform
from lstmserve_server.engine.decoding.filters import max_draws
from lstmserve_server.engine.decoding.row_params import RowParams
from lstmserve_server.engine.decoding.sampler import (
    Scores,
    adjust,
    choose,
    forbid_end,
    remember,
    score,
)


class DecodeLoop(nn.Module):
    """Prefills prompts and decodes rows whose states lie in a pool [places, S]."""

    def __init__(
        self, model: torch.jit.ScriptModule, end_id: int, num_tokens: int, num_top: int
    ) -> None:
        """Score ``num_top`` candidates in every batch: the order of equals depends on it."""
        super().__init__()
        self.model = model
        self.end_id = end_id
        self.num_tokens = num_tokens
        self.num_top = num_top

    def forward(
        self,
        pool: Tensor,
        first: int,
        tokens: list[int],
        positions: list[int],
        params: RowParams,
        steps: int,
        least_steps: int,
        arrivals: Tensor,
        num_known: int,
    ) -> tuple[list[list[int]], list[Scores]]:
        """Decode up to so many tokens for each row, whose next input token is given.

        The states of the rows lie side by side in the pool, from the place ``first`` on.
        It keeps the parameters up to date. Once ``arrivals``, int64 [], is not ``num_known``
        any more, something has come, and the least steps are enough.
        -> the tokens of every step taken, and per step the scored rows' scores if any.
        """
        states = pool[first : first + len(tokens)]
        state = states
        last, position = torch.tensor(tokens), torch.tensor(positions)
        ended = torch.zeros_like(last, dtype=torch.bool)
        # of all steps at once: the random numbers [k, steps, draws, 2], and [rows, steps]
        random = self._draw_numbers(position, params, steps)
        is_too_early = torch.arange(steps) < (params.min_tokens - position).unsqueeze(1)
        left = params.forms.max_tokens - position[params.forms.rows]
        chosen: list[Tensor] = []
        scores: list[Scores] = []
        for number in range(steps):
            logits, state = self.model.step(state, last)
            early, u = is_too_early[:, number], random[:, number]
            last, some = self._choose(logits, early, u, left - number, params)
            chosen.append(last)
            scores.extend(some)
            ended = ended | (last == self.end_id)
            if bool(ended.all()):
                break
            if number + 1 >= least_steps and int(arrivals) != num_known:
                break
        if not state.is_set_to(states):  # a model need not overwrite the state that it is given
            states.copy_(state)
        found: list[list[int]] = torch.stack(chosen).tolist()
        return found, scores

    def _draw_numbers(self, position: Tensor, params: RowParams, steps: int) -> Tensor:
        """Return the random numbers of all draws that may be needed: [k, steps, draws, 2]."""
        ahead = position[params.sampled].unsqueeze(1) + torch.arange(steps)
        draws = 1 + max_draws() if params.filtered.shape[0] > 0 else 1
        return uniform(params.stream.unsqueeze(2), ahead.unsqueeze(2), torch.arange(draws))

    def _choose(
        self, logits: Tensor, early: Tensor, u: Tensor, left: Tensor, params: RowParams
    ) -> tuple[Tensor, list[Scores]]:
        raw = logits
        if params.scored.shape[0] > 0:
            raw = logits[params.scored]  # a copy: before anything is done to them
        if params.adjusted.shape[0] > 0:
            adjust(logits, params)
        if params.any_min_tokens:
            forbid_end(logits, early, self.end_id)
        if params.forms.rows.shape[0] > 0:
            constrain(logits, left, params.forms)
        if params.grammars.rows.shape[0] > 0:
            logits.index_add_(0, params.grammars.rows, params.grammars.bias)
        tokens = choose(logits, u, params)
        if params.grammars.rows.shape[0] > 0:
            torch.ops.lstmserve.follow_grammars(
                tokens, params.grammars.bias, params.grammars.number
            )
        if params.adjusted.shape[0] > 0:
            remember(tokens, params)
        if params.forms.rows.shape[0] > 0:
            follow(tokens, params.forms)
        scores: list[Scores] = []
        if params.scored.shape[0] > 0:
            scores.append(score(raw, tokens[params.scored], self.num_top))
        return tokens, scores

    @torch.jit.export
    def prefill(self, pool: Tensor, places: list[int], chunks: list[list[int]]) -> None:
        """Prefill a chunk of tokens, at least one, at each place without choosing any."""
        lengths = [len(chunk) for chunk in chunks]
        longest = max(lengths)
        padded = [chunk + [0] * (longest - len(chunk)) for chunk in chunks]
        where = torch.tensor(places)
        after = self.model.prefill(
            pool.index_select(0, where), torch.tensor(padded), torch.tensor(lengths)
        )
        pool.index_copy_(0, where, after)

    @torch.jit.export
    def clear(self, pool: Tensor, places: list[int]) -> None:
        """Put the state before the first token at these places."""
        pool.index_copy_(0, torch.tensor(places), self.model.initial_state(len(places)))

    @torch.jit.export
    def logits_after(self, state: Tensor, tokens: Tensor) -> Tensor:
        """Take one token per row, int64 [rows]; -> float32 [rows, tokens]."""
        logits: Tensor = self.model.step(state, tokens)[0]
        return logits

    @torch.jit.export
    def initial_state(self, rows: int) -> Tensor:
        """Return the state before the first token, for each row; -> [rows, S]."""
        state: Tensor = self.model.initial_state(rows)
        return state
