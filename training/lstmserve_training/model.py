"""What every network has as it is trained, in floating point: sizes, embedding, output layer."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lstmserve_bundle.manifest import ROW_STEP
from lstmserve_training.errors import DataError

# each [n, rows, width]; of an LSTM h and c of every layer
State = tuple[Tensor, ...]
# what two models must share, beside the tokens
OF_SHAPE = ("family", "hidden", "layers", "embedding", "projection", "attention", "heads", "window")


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
    family: str = "stacked"
    projection: int = 0  # values that leave a layer; 0: as many as it has
    # of attention: the width of all heads together, their number, and the positions seen
    attention: int = 0
    heads: int = 0
    window: int = 0
    # tokens after which positions are not written, and those after which they are again
    pauses: tuple[int, ...] = ()
    resumes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.projection and self.weight_drop:
            raise DataError("weight_drop is for networks without projection")
        for name, length in (
            ("vocabulary", self.num_tokens),
            ("hidden", self.hidden),
            ("projection", self.projection),
        ):
            if length % ROW_STEP:
                raise DataError(f"{name} is {length}: it must be a multiple of {ROW_STEP}")

    @property
    def is_tied(self) -> bool:
        """Whether the output layer has the embedding's weights."""
        return not self.embedding

    @property
    def between(self) -> float:
        """Dropout between layers, of which one has none."""
        return self.dropout if self.layers > 1 else 0.0

    @property
    def width(self) -> int:
        """How many values leave a layer."""
        return self.projection or self.hidden

    @property
    def embedding_scale(self) -> float:
        """What embeddings are multiplied by: they are small where they double as output layer."""
        return math.sqrt(self.width) if self.is_tied else 1.0


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


class LanguageModel(nn.Module):
    """Embedding, layers that read it, and an output layer that may share the embedding's weights.

    Weight tying (Press and Wolf, 2017) halves the parameters that a small corpus can overfit. A
    family says what the layers are: ``_make_layers``, ``_read`` and ``zero_state``.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        width = config.embedding or config.width
        self.embedding = nn.Embedding(config.num_tokens, width)
        self._make_layers(width)
        dropout = LockedDropout if config.locked_dropout else nn.Dropout
        self.dropout = dropout(config.dropout)
        self.output_bias = nn.Parameter(torch.zeros(config.num_tokens))
        if not config.is_tied:
            self.output_weight = nn.Parameter(torch.empty(config.num_tokens, config.width))
        self._initialize()

    def _make_layers(self, width: int) -> None:
        """Set the layers, of which the first reads so many values."""
        raise NotImplementedError

    def _initialize(self) -> None:
        nn.init.normal_(self.embedding.weight, std=1 / self.config.embedding_scale)
        if not self.config.is_tied:
            nn.init.normal_(self.output_weight, std=1 / math.sqrt(self.config.width))

    @property
    def output_weights(self) -> Tensor:
        """Of the output layer, [tokens, width]."""
        return self.embedding.weight if self.config.is_tied else self.output_weight

    def forward(self, token_ids: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Token ids [rows, steps] -> logits [rows, steps, tokens] and the state after them."""
        hidden, state = self.read(token_ids, state)
        logits = nn.functional.linear(self.dropout(hidden), self.output_weights, self.output_bias)
        return logits, state

    def read(self, token_ids: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Token ids [rows, steps] -> what the output layer reads, and the state after them."""
        embedded = self.embedding(token_ids) * self.config.embedding_scale
        return self._read(self.dropout(embedded), state)

    def _read(self, inputs: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Embeddings [rows, steps, width] -> what the output layer reads, and the state."""
        raise NotImplementedError

    def zero_state(self, rows: int) -> State:
        """Return the state before the first token, of so many rows, where the model is."""
        raise NotImplementedError
