"""One view of every model that is compared: a state row per sequence, a token at a time.

The floating-point model, its stock quantization and the served module are read by the
same loop, so that a difference between their figures is a difference between models.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from lstmserve_training.int8_lstm import known_deprecations
from lstmserve_training.model import StackedLstm
from lstmserve_training.quantize import NEVER, use_quantized_engine


class Stepper(Protocol):
    """The part of the served contract that measuring needs (`model.pt` satisfies it)."""

    def initial_state(self, rows: int) -> Tensor:
        """Zeros [rows, state]."""

    def step(self, state: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Read one token per row, int64 [rows] -> logits [rows, tokens], state.

        The state given may be overwritten.
        """


class FloatLstm(nn.Module):
    """A trained model in floating point, sharing its weights, behind the served contract.

    The output layer is an ``nn.Linear``, which stock quantization recognizes; the trained
    model applies the embedding's weights by a function, which it does not.
    """

    def __init__(self, model: StackedLstm, never: Sequence[int] = ()) -> None:
        """Tokens in ``never`` are given no probability, as in the served module."""
        super().__init__()
        config = model.config
        self.scale = config.embedding_scale
        self.layers = config.layers
        self.hidden = config.hidden
        self.embedding = model.embedding
        self.lstm = model.lstm
        # "meta": no memory, and no random numbers drawn in the middle of a training run
        self.output = nn.Linear(config.hidden, config.num_tokens, device="meta")
        self.output.weight = model.output_weights
        bias = model.output_bias.detach().clone()
        bias[list(never)] = NEVER
        self.output.bias = nn.Parameter(bias)

    @torch.jit.export
    def initial_state(self, rows: int) -> Tensor:
        """Zeros [rows, 2 * layers * hidden], where the model is."""
        width = 2 * self.layers * self.hidden
        return torch.zeros(rows, width, device=self.embedding.weight.device)

    @torch.jit.export
    def step(self, state: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Read one token per row, int64 [rows] -> logits [rows, tokens], state."""
        parts = state.view(-1, 2, self.layers, self.hidden).permute(1, 2, 0, 3).contiguous()
        embedded = self.embedding(tokens).unsqueeze(1) * self.scale
        output, (h, c) = self.lstm(embedded, (parts[0], parts[1]))
        after = torch.stack([h, c]).permute(2, 0, 1, 3).flatten(1)
        return self.output(output.squeeze(1)), after


def stock_int8(model: StackedLstm, never: Sequence[int]) -> Stepper:
    """What ``torch.ao.quantization.quantize_dynamic`` makes of the model, as TorchScript.

    Its activations take their scale from all rows of the batch together.
    """
    use_quantized_engine()
    with known_deprecations():
        quantized = torch.ao.quantization.quantize_dynamic(  # type: ignore[no-untyped-call]
            FloatLstm(model, never).eval(), {nn.LSTM, nn.Linear}, dtype=torch.qint8
        )
        scripted: Stepper = torch.jit.script(quantized)
    return scripted
