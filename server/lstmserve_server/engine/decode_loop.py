"""Several decode steps in one TorchScript call: Python stays out of the token path."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lstmserve_server.engine.sampler import (
    Choice,
    RowParams,
    choose,
    forbid_end,
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
    ) -> tuple[Tensor, list[Choice]]:
        """Takes state [rows, S], tokens and position int64 [rows] -> state, one choice per step."""
        choices: list[Choice] = []
        ended = torch.zeros_like(tokens, dtype=torch.bool)
        positions = position[params.sampled].unsqueeze(1) + torch.arange(steps)
        random = uniform(params.seed, positions)  # [k, steps]
        for number in range(steps):
            logits, state = self.model.step(state, tokens)
            allowed = logits
            if params.any_min_tokens:
                allowed = forbid_end(logits, position + number, params, self.end_id)
            tokens = choose(allowed, random[:, number], params)
            choices.append(score(logits, tokens, params))
            ended = ended | (tokens == self.end_id)
            if bool(ended.all()):
                break
        return state, choices

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
