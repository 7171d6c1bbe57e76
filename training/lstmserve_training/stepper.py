"""One view of every model that is compared: a state row per sequence, a token at a time.

The floating-point model, its stock quantization and the served module are read by the
same loop, so that a difference between their figures is a difference between models.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from lstmserve_training.int8_lstm import known_deprecations
from lstmserve_training.model import LanguageModel, State
from lstmserve_training.quantize import output_bias_without, use_quantized_engine
from lstmserve_training.stacked import StackedLstm


class Stepper(Protocol):
    """The part of the served contract that measuring needs (`model.pt` satisfies it)."""

    def initial_state(self, rows: int) -> Tensor:
        """Before the first token, [rows, state]."""

    def step(self, state: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Read one token per row, int64 [rows] -> logits [rows, tokens], state.

        The state given may be overwritten.
        """


class Served(Stepper, Protocol):
    """What `model.pt` does, of any family."""

    num_tokens: int

    def state_dict(self) -> dict[str, Tensor]:
        """Its buffers, by name."""

    def prefill(self, state: Tensor, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Read several tokens per row [rows, T], of the lengths [rows] -> state."""


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
        self.output = _output_layer(model, never)

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


class FloatNetwork(nn.Module):
    """Any other trained model, likewise; its state is one row of all that it remembers."""

    def __init__(self, model: LanguageModel, never: Sequence[int] = ()) -> None:
        """Tokens in ``never`` are given no probability, as in the served module."""
        super().__init__()
        self.model = model
        self.output = _output_layer(model, never)
        self._shapes = [(len(part), part.shape[2]) for part in model.zero_state(1)]

    def initial_state(self, rows: int) -> Tensor:
        """Before the first token, [rows, state], where the model is."""
        return self._to_row(self.model.zero_state(rows))

    def step(self, state: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Read one token per row, int64 [rows] -> logits [rows, tokens], state."""
        rows, parts = len(state), []
        for count, width in self._shapes:
            part, state = state[:, : count * width], state[:, count * width :]
            parts.append(part.view(rows, count, width).transpose(0, 1).contiguous())
        hidden, after = self.model.read(tokens.unsqueeze(1), tuple(parts))
        return self.output(hidden.squeeze(1)), self._to_row(after)

    def _to_row(self, state: State) -> Tensor:
        return torch.cat([part.transpose(0, 1).flatten(1) for part in state], dim=1)


def make_stepper(model: LanguageModel, never: Sequence[int] = ()) -> FloatLstm | FloatNetwork:
    """Return a trained model behind the served contract, in evaluation mode."""
    if type(model) is StackedLstm:  # and none of the families that are built on it
        return FloatLstm(model, never).eval()
    return FloatNetwork(model, never).eval()


def can_be_scripted(stepper: Stepper) -> bool:
    """Return whether TorchScript can be made of it, or has been."""
    return not isinstance(stepper, FloatNetwork)


def _output_layer(model: LanguageModel, never: Sequence[int]) -> nn.Linear:
    """Return the output layer, with the model's own weights, that never writes these tokens."""
    config = model.config
    # "meta": no memory, and no random numbers drawn in the middle of a training run
    output = nn.Linear(config.width, config.num_tokens, device="meta")
    output.weight = model.output_weights
    output.bias = nn.Parameter(output_bias_without(model, never))
    return output


def stock_int8(model: LanguageModel, never: Sequence[int]) -> Stepper:
    """What ``torch.ao.quantization.quantize_dynamic`` makes of the model.

    Of a stacked LSTM it is TorchScript; others run as they are.

    Its activations take their scale from all rows of the batch together.
    """
    use_quantized_engine()
    # it knows no projection, and would leave it out
    kinds = {nn.Linear} if model.config.projection else {nn.Linear, nn.LSTM}
    with known_deprecations():
        quantized: Stepper = torch.ao.quantization.quantize_dynamic(  # type: ignore[no-untyped-call]
            make_stepper(model, never), kinds, dtype=torch.qint8
        )
        return torch.jit.script(quantized) if model.config.family == "stacked" else quantized
