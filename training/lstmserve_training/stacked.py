"""The stacked LSTM as it is trained, in floating point."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lstmserve_training.model import LanguageModel, State


class StackedLstm(LanguageModel):
    """Stacked LSTM layers.

    Dropout stands only between layers (Zaremba et al., 2014), and with ``weight_drop`` on the
    recurrent weights as well (Merity et al., 2018).
    """

    lstm: nn.Module

    def _make_layers(self, width: int) -> None:
        config = self.config
        self.lstm = nn.LSTM(
            width, config.hidden, config.layers, batch_first=True, dropout=config.between
        )

    def _initialize(self) -> None:
        super()._initialize()
        hidden = self.config.hidden
        for name, parameter in self.lstm.named_parameters():
            own = name.rpartition(".")[2]
            if own.startswith("bias_ih"):
                # forget gates start open (Jozefowicz et al., 2015); order: i, f, g, o
                nn.init.zeros_(parameter)
                nn.init.ones_(parameter[hidden : 2 * hidden])
            elif own.startswith("bias"):
                nn.init.zeros_(parameter)

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
            inputs, state, weights, True, len(state[0]), self.config.between, True, False, True
        )
        return hidden, (h, c)

    def zero_state(self, rows: int) -> State:
        """Zeros for h [layers, rows, width] and c [layers, rows, hidden] of every layer."""
        config, device = self.config, self.output_bias.device
        h, c = (
            torch.zeros(config.layers, rows, each, device=device)
            for each in (config.width, config.hidden)
        )
        return h, c
