"""Several decode steps in one TorchScript call: Python stays out of the token path."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lstmserve_server.engine.sampler import (
    RowParams,
    Scores,
    adjust,
    choose,
    forbid_end,
    remember,
    score,
    uniform,
)


class DecodeLoop(nn.Module):
    """Steps a loaded model and chooses tokens until all rows have ended or time is up."""

    def __init__(self, model: torch.jit.ScriptModule, end_id: int) -> None:
        super().__init__()
        self.model = model
        self.end_id = end_id

    def forward(
        self, state: Tensor, tokens: Tensor, position: Tensor, params: RowParams, steps: int
    ) -> tuple[Tensor, Tensor, list[Scores]]:
        """Decode; state [rows, S] may be overwritten, tokens and position are int64 [rows].

        -> state after, tokens [steps taken, rows], and per step the scored rows' scores if any.
        """
        chosen: list[Tensor] = []
        scores: list[Scores] = []
        ended = torch.zeros_like(tokens, dtype=torch.bool)
        positions = position[params.sampled].unsqueeze(1) + torch.arange(steps)
        random = uniform(params.seed, positions, 0)  # for all steps at once: [k, steps, 2]
        for number in range(steps):
            logits, state = self.model.step(state, tokens)
            tokens, some = self._choose(
                logits, position + number, positions[:, number], random[:, number], params
            )
            chosen.append(tokens)
            scores.extend(some)
            ended = ended | (tokens == self.end_id)
            if bool(ended.all()):
                break
        return state, torch.stack(chosen), scores

    def _choose(
        self, logits: Tensor, position: Tensor, drawn_at: Tensor, first: Tensor, params: RowParams
    ) -> tuple[Tensor, list[Scores]]:
        raw = logits
        if params.scored.shape[0] > 0:
            raw = logits[params.scored]  # a copy: before anything is done to them
        if params.adjusted.shape[0] > 0:
            adjust(logits, params)
        if params.any_min_tokens:
            forbid_end(logits, position, params, self.end_id)
        tokens = choose(logits, drawn_at, first, params)
        if params.adjusted.shape[0] > 0:
            remember(tokens, params)
        scores: list[Scores] = []
        if params.scored.shape[0] > 0:
            scores.append(score(raw, tokens[params.scored], params.num_top))
        return tokens, scores

    @torch.jit.export
    def prefill(self, state: Tensor, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Read tokens [rows, T] of the given lengths [rows] without choosing any."""
        after: Tensor = self.model.prefill(state, tokens, lengths)
        return after

    @torch.jit.export
    def logits_after(self, state: Tensor, tokens: Tensor) -> Tensor:
        """Read one token per row; -> float32 [rows, tokens]."""
        logits: Tensor = self.model.step(state, tokens)[0]
        return logits

    @torch.jit.export
    def initial_state(self, rows: int) -> Tensor:
        """-> [rows, S]."""
        state: Tensor = self.model.initial_state(rows)
        return state
