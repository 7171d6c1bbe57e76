"""LSTMs with attention over what they have read, as they are trained, in floating point.

Attention stands between the top layer and the output layer, and nothing recurrent depends on it:
to read a prompt costs what it costs a stacked LSTM, and a product more. With family `hybrid` it
looks at the last positions (Daniluk et al., 2017), with `attentive` at the last positions of what
was asked, and not at the reply (Luong et al., 2015). Scores lose a share with distance (ALiBi,
Press et al., 2022), whose slopes are learned. Queries, keys, values and the result are bounded by
tanh, so that they can be whole numbers when they are served.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from lstmserve_training.model import ModelConfig, State
from lstmserve_training.stacked import StackedLstm

FAR = -1e9  # a score that leaves no weight


class Attention(nn.Module):
    """Multi-head attention whose queries, keys, values and results are from -1 to 1."""

    def __init__(self, hidden: int, width: int, heads: int) -> None:
        super().__init__()
        self.reading = nn.Linear(hidden, 3 * width)
        # the first heads look near, the last ones far
        self.log_slopes = nn.Parameter(-torch.arange(heads, dtype=torch.float32) - 2.0)
        self.heads, self.width = heads, width

    @property
    def scale(self) -> float:
        """What products of queries and keys are multiplied by: bounded ones need larger scores."""
        return 8 / math.sqrt(self.width // self.heads)

    @property
    def slopes(self) -> Tensor:
        """What scores lose by position of distance, [heads]."""
        return self.log_slopes.exp()

    def read(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Hidden values [..., hidden] -> queries [..., width], keys and values [..., 2 * width]."""
        values: Tensor = self.reading(hidden).tanh()
        return values[..., : self.width], values[..., self.width :]

    def find(self, query: Tensor, entries: Tensor, distance: Tensor, is_seen: Tensor) -> Tensor:
        """Queries [rows, T, width], entries [rows, P, 2 * width], masks [rows, T, P] -> results.

        What sees nothing finds zeros; results are [rows, T, width].
        """
        keys, values = (self._by_head(part) for part in entries.chunk(2, dim=-1))
        scores = self._by_head(query) @ keys.transpose(2, 3) * self.scale
        lost = self.slopes[:, None, None] * distance.unsqueeze(1)
        scores = (scores - lost).float().masked_fill(~is_seen.unsqueeze(1), FAR)
        weights = scores.softmax(dim=-1) * is_seen.unsqueeze(1)
        return (weights.to(values.dtype) @ values).transpose(1, 2).flatten(2)

    def _by_head(self, values: Tensor) -> Tensor:
        """[rows, steps, width] -> [rows, heads, steps, width / heads]."""
        return values.view(*values.shape[:2], self.heads, -1).transpose(1, 2)


def pass_through(layer: nn.Linear, width: int) -> None:
    """Let the first ``width`` inputs pass as they are, before anything is learned.

    So the network begins as its layers alone, and adds what attention finds as it becomes useful.
    With random weights its perplexity on chats was 29.8, and not 22.9, after as much text.
    """
    nn.init.eye_(layer.weight[:, :width])
    nn.init.zeros_(layer.bias)


class AttentionLstm(StackedLstm):
    """A stacked LSTM whose output layer reads what attention finds, too.

    The state is that of the LSTM, the entries of the last positions written [window, rows,
    2 * width], which of them there are [window, rows, 1], and whether positions are written now
    [1, rows, 1].
    """

    pauses: Tensor
    resumes: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.attention = Attention(config.hidden, config.attention, config.heads)
        self.combine = nn.Linear(config.hidden + config.attention, config.hidden)
        pass_through(self.combine, config.hidden)
        for name, tokens in (("pauses", config.pauses), ("resumes", config.resumes)):
            flags = torch.zeros(config.num_tokens, dtype=torch.bool)
            flags[list(tokens)] = True
            self.register_buffer(name, flags, persistent=False)

    def read(self, token_ids: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Token ids [rows, steps] -> what the output layer reads, and the state after them."""
        state = self.zero_state(len(token_ids)) if state is None else state
        hidden, recurrent = super().read(token_ids, (state[0], state[1]))
        query, entries = self.attention.read(hidden)
        writes, turned = self._writes(token_ids, state[4][0, :, 0] > 0)
        # before the new ones, the positions that were there
        entries = torch.cat([state[2].transpose(0, 1).to(entries.dtype), entries], dim=1)
        is_written = torch.cat([state[3][:, :, 0].T > 0, writes], dim=1)
        order = is_written.cumsum(dim=1)  # of the positions written
        distance, is_seen = self._see(order, is_written, token_ids.shape[1])
        found = self.attention.find(query, entries, distance, is_seen)
        output = self.combine(torch.cat([hidden, self.dropout(found)], dim=-1)).tanh()
        # the last positions written are the last of a stable order
        last = is_written.int().argsort(dim=1, stable=True)[:, -self.config.window :]
        kept = entries.gather(1, last.unsqueeze(2).expand(-1, -1, entries.shape[2]))
        is_kept = is_written.gather(1, last).unsqueeze(2).to(state[3].dtype)
        after = (
            kept.transpose(0, 1),
            is_kept.transpose(0, 1),
            turned[None, :, None].to(state[4].dtype),
        )
        return output, (*recurrent, *after)

    def _see(self, order: Tensor, is_written: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        """How far [rows, steps, positions] each position is, and whether it is seen."""
        now = order[:, -steps:].unsqueeze(2)
        distance = (now - order.unsqueeze(1)).clamp(min=0)
        place = torch.arange(order.shape[1], device=order.device)
        is_before = place <= place[-steps:].unsqueeze(1)
        is_near = distance < self.config.window
        return distance, is_before & is_near & is_written.unsqueeze(1)

    def _writes(self, token_ids: Tensor, is_writing: Tensor) -> tuple[Tensor, Tensor]:
        """Which positions are written, bool [rows, steps], and whether later ones are, [rows]."""
        pauses, resumes = self.pauses[token_ids], self.resumes[token_ids]
        number = torch.arange(token_ids.shape[1], device=token_ids.device).expand_as(token_ids)
        latest = torch.where(pauses | resumes, number, -1).cummax(dim=1).values
        after = resumes.gather(1, latest.clamp(min=0))
        writes = torch.where(latest >= 0, after, is_writing.unsqueeze(1))
        return writes, writes[:, -1]

    def zero_state(self, rows: int) -> State:
        """Nothing read; positions are written."""
        config, device = self.config, self.output_bias.device
        entries = torch.zeros(config.window, rows, 2 * config.attention, device=device)
        is_there = torch.zeros(config.window, rows, 1, device=device)
        return (*super().zero_state(rows), entries, is_there, torch.ones(1, rows, 1, device=device))
