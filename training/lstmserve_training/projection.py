"""An LSTM with projection, as it is trained: many cells, and few values that leave a layer.

Each layer's output is multiplied by a matrix before it is read, by itself and by what follows (Sak
et al., 2014). At equal size it has more memory than a stacked LSTM, and a smaller output layer.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

from lstmserve_training.model import ModelConfig, State
from lstmserve_training.stacked import StackedLstm

MOMENTUM = 0.01  # of the mean squares: they are those of the last hundred segments or so


class ProjectedLstm(StackedLstm):
    """The layers one by one, so that it is known how large the values are that leave them."""

    lstm: nn.ModuleList
    mean_squares: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.register_buffer("mean_squares", torch.zeros(config.layers, config.projection))

    def _make_layers(self, width: int) -> None:
        config = self.config
        widths = [width] + [config.projection] * (config.layers - 1)
        self.lstm = nn.ModuleList(
            nn.LSTM(each, config.hidden, batch_first=True, proj_size=config.projection)
            for each in widths
        )

    def _read(self, inputs: Tensor, state: State | None) -> tuple[Tensor, State]:
        h, c = self.zero_state(len(inputs)) if state is None else state
        after: list[State] = []
        for number, lstm in enumerate(self.lstm):
            source = inputs if number == 0 else self.dropout(inputs)
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="LSTM with projections")  # it is slower
                inputs, found = lstm(source, (h[number : number + 1], c[number : number + 1]))
            after.append(found)
            if self.training:
                self._note(number, inputs.detach())
        return inputs, (torch.cat([h for h, _ in after]), torch.cat([c for _, c in after]))

    def _note(self, layer: int, values: Tensor) -> None:
        """Remember how large values [rows, steps, projection] are, padding included.

        When they are served, each is divided by a power of two that follows from it.
        """
        found = values.float().square().mean(dim=(0, 1))
        known = self.mean_squares[layer]
        known.copy_(torch.where(known > 0, known.lerp(found, MOMENTUM), found))
