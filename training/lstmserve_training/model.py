"""The stacked LSTM as it is trained, in floating point."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lstmserve_bundle.manifest import ROW_STEP
from lstmserve_training.errors import DataError

State = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class ModelConfig:
    """Sizes; ``embedding`` is 0 where it is as wide as a layer and doubles as the output layer."""

    num_tokens: int
    hidden: int = 512
    layers: int = 2
    dropout: float = 0.3
    embedding: int = 0

    def __post_init__(self) -> None:
        for name, length in (("vocabulary", self.num_tokens), ("hidden", self.hidden)):
            if length % ROW_STEP:
                raise DataError(f"{name} is {length}: it must be a multiple of {ROW_STEP}")

    @property
    def is_tied(self) -> bool:
        """Whether the output layer has the embedding's weights."""
        return not self.embedding

    @property
    def embedding_scale(self) -> float:
        """What embeddings are multiplied by: they are small where they double as output layer."""
        return math.sqrt(self.hidden) if self.is_tied else 1.0


class StackedLstm(nn.Module):
    """Embedding, stacked LSTM, and an output layer that may share the embedding's weights.

    Weight tying (Press and Wolf, 2017) halves the parameters that a small corpus can
    overfit; dropout stands only between layers (Zaremba et al., 2014).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        width = config.embedding or config.hidden
        self.embedding = nn.Embedding(config.num_tokens, width)
        between = config.dropout if config.layers > 1 else 0.0
        self.lstm = nn.LSTM(width, config.hidden, config.layers, batch_first=True, dropout=between)
        self.dropout = nn.Dropout(config.dropout)
        self.output_bias = nn.Parameter(torch.zeros(config.num_tokens))
        if not config.is_tied:
            self.output_weight = nn.Parameter(torch.empty(config.num_tokens, config.hidden))
        self._initialize()

    def _initialize(self) -> None:
        hidden = self.config.hidden
        nn.init.normal_(self.embedding.weight, std=1 / self.config.embedding_scale)
        if not self.config.is_tied:
            nn.init.normal_(self.output_weight, std=1 / math.sqrt(hidden))
        for name, parameter in self.lstm.named_parameters():
            if name.startswith("bias_ih"):
                # forget gates start open (Jozefowicz et al., 2015); order: i, f, g, o
                nn.init.zeros_(parameter)
                nn.init.ones_(parameter[hidden : 2 * hidden])
            elif name.startswith("bias"):
                nn.init.zeros_(parameter)

    @property
    def output_weights(self) -> Tensor:
        """Of the output layer, [tokens, hidden]."""
        return self.embedding.weight if self.config.is_tied else self.output_weight

    def forward(self, token_ids: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Token ids [rows, steps] -> logits [rows, steps, tokens] and the state after them."""
        embedded = self.embedding(token_ids) * self.config.embedding_scale
        hidden, state = self.lstm(self.dropout(embedded), state)
        logits = nn.functional.linear(self.dropout(hidden), self.output_weights, self.output_bias)
        return logits, state

    def zero_state(self, rows: int) -> State:
        """Zeros for h and c of every layer, each [layers, rows, hidden]."""
        shape = (self.config.layers, rows, self.config.hidden)
        device = self.output_bias.device
        return torch.zeros(shape, device=device), torch.zeros(shape, device=device)
