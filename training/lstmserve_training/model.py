"""The stacked LSTM as it is trained, in floating point."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lstmserve_bundle.manifest import ROW_STEP
from lstmserve_training.errors import DataError

State = tuple[Tensor, Tensor]
OF_SHAPE = ("hidden", "layers", "embedding")  # what two models must share, beside the tokens


@dataclass(frozen=True)
class ModelConfig:
    """Sizes; ``embedding`` is 0 where it is as wide as a layer and doubles as the output layer."""

    num_tokens: int
    hidden: int = 512
    layers: int = 2
    dropout: float = 0.3
    embedding: int = 0
    locked_dropout: bool = False
    weight_drop: float = 0.0

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


class LockedDropout(nn.Module):
    """Drops the same values of a row at all its steps (Gal and Ghahramani, 2016)."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, values: Tensor) -> Tensor:
        """Values [rows, steps, width]."""
        if not self.training or not self.share:
            return values
        mask = values.new_empty(values.shape[0], 1, values.shape[2]).bernoulli_(1 - self.share)
        return values * mask / (1 - self.share)


class StackedLstm(nn.Module):
    """Embedding, stacked LSTM, and an output layer that may share the embedding's weights.

    Weight tying (Press and Wolf, 2017) halves the parameters that a small corpus can
    overfit; dropout stands only between layers (Zaremba et al., 2014), and with
    ``weight_drop`` on the recurrent weights as well (Merity et al., 2018).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        width = config.embedding or config.hidden
        self.embedding = nn.Embedding(config.num_tokens, width)
        between = config.dropout if config.layers > 1 else 0.0
        self.lstm = nn.LSTM(width, config.hidden, config.layers, batch_first=True, dropout=between)
        dropout = LockedDropout if config.locked_dropout else nn.Dropout
        self.dropout = dropout(config.dropout)
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
        hidden, state = self._read(self.dropout(embedded), state)
        logits = nn.functional.linear(self.dropout(hidden), self.output_weights, self.output_bias)
        return logits, state

    def _read(self, inputs: Tensor, state: State | None) -> tuple[Tensor, State]:
        """The LSTM; while it trains, without a share of its recurrent weights."""
        share = self.config.weight_drop
        if not self.training or not share or state is None:
            found: tuple[Tensor, State] = self.lstm(inputs, state)
            return found
        weights = [
            nn.functional.dropout(weight, share) if name.startswith("weight_hh") else weight
            for name, weight in self.lstm.named_parameters()
        ]
        # what nn.LSTM itself calls, with the weights that it has
        hidden, h, c = torch._VF.lstm(  # noqa: SLF001
            inputs, state, weights, True, len(state[0]), self.lstm.dropout, True, False, True
        )
        return hidden, (h, c)

    def zero_state(self, rows: int) -> State:
        """Zeros for h and c of every layer, each [layers, rows, hidden]."""
        shape = (self.config.layers, rows, self.config.hidden)
        device = self.output_bias.device
        return torch.zeros(shape, device=device), torch.zeros(shape, device=device)
