"""From trained floats to the INT8 module that is served.

The scheme needs no dynamic range: LSTM hidden values lie in (-1, 1), so activations are
quantized to 7 bits with one static scale, weights to INT8 with one scale per output
channel. Integer sums are exact, so neither the batch, nor the number of threads, nor the
instruction set can change a bit. Eight bits of activation would saturate the 16-bit
pairs of CPUs without VNNI, and give other bits there; seven cannot (127 * 127 * 2 < 2^15).

The elementwise part is exact as well as long as no work is split in the middle of a
register: call the module with one intra-op thread (three threads at 64 rows do change bits).
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from lstmserve_training.errors import ExportError
from lstmserve_training.model import StackedLstm

ACTIVATION_SCALE = 1 / 63
ACTIVATION_ZERO_POINT = 64
WEIGHT_LIMIT = 127
# exp() of such a logit is exactly 0: the token can never be chosen
NEVER = -10_000.0


def use_quantized_engine() -> None:
    """Have torch pack and unpack weights with fbgemm.

    The default engine depends on the build and the CPU, and ``x86`` is free to choose between
    fbgemm and oneDNN. Packed weights belong to the engine that packed them, and which
    products run, so which bits come out, must not be left to that choice.
    """
    if "fbgemm" not in torch.backends.quantized.supported_engines:
        raise ExportError("this build of torch has no fbgemm engine: quantize on an x86-64 CPU")
    torch.backends.quantized.engine = "fbgemm"


@contextmanager
def known_deprecations() -> Iterator[None]:
    """Silence what torch says about quantized tensors: its release is pinned for that reason."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r".*quantized tensor creation functions")
        warnings.filterwarnings("ignore", message=r".*torch\.(jit|ao)", category=DeprecationWarning)
        yield


class Int8Linear(nn.Module):
    """Quantize, integer product, dequantize and bias in one operator call."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        """Weight float32 [out, in], bias float32 [out]."""
        super().__init__()
        use_quantized_engine()
        scales = (weight.abs().amax(dim=1) / WEIGHT_LIMIT).clamp(min=1e-12)
        zero_points = torch.zeros(len(scales), dtype=torch.int64)
        with known_deprecations():
            quantized = torch.quantize_per_channel(
                weight, scales.double(), zero_points, 0, torch.qint8
            )
        self.packed = torch.ops.quantized.linear_prepack(quantized, bias)
        self.scale = ACTIVATION_SCALE
        self.zero_point = ACTIVATION_ZERO_POINT

    def forward(self, x: Tensor) -> Tensor:
        """Values float32 [rows, in], every one in (-1, 1) -> float32 [rows, out]."""
        product: Tensor = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(
            x, self.scale, self.zero_point, self.packed
        )
        return product


class Int8Cell(nn.Module):
    """One LSTM layer above the products of its inputs."""

    def __init__(self, weight: Tensor, bias: Tensor | None, hidden: int) -> None:
        super().__init__()
        self.product = Int8Linear(weight, bias)
        self.hidden = hidden

    def forward(self, source: Tensor, extra: Tensor | None, cell: Tensor) -> tuple[Tensor, Tensor]:
        """Source [rows, in], extra and gates [rows, 4 * hidden], cell [rows, hidden] -> h, c."""
        gates = self.product(source)
        if extra is not None:
            gates = gates.add_(extra)
        i, f, o, g = gates.sigmoid_().chunk(4, dim=1)
        # g is sigmoid(2x): i * tanh(x) = i * (2 g - 1)
        cell = f * cell + i * (2.0 * g - 1.0)
        return o * (2.0 * torch.sigmoid(2.0 * cell) - 1.0), cell


class Int8Lstm(nn.Module):
    """The three-method TorchScript contract over integer matrix products.

    A state row is ``[h of every layer, c of every layer]``, float32. Gates stand in the
    order i, f, o, g, and the weights of g are doubled, so that one sigmoid serves all
    four: tanh(x) = 2 sigmoid(2x) - 1.
    """

    token_rows: Tensor
    token_scales: Tensor

    def __init__(
        self, token_rows: Tensor, token_scales: Tensor, cells: list[Int8Cell], output: Int8Linear
    ) -> None:
        """Rows int8 [tokens, 4 * hidden], scales float32 [tokens, 1]."""
        super().__init__()
        self.register_buffer("token_rows", token_rows)
        self.register_buffer("token_scales", token_scales)
        self.cells = nn.ModuleList(cells)
        self.output = output
        self.hidden = cells[0].hidden
        self.layers = len(cells)

    @torch.jit.export
    def initial_state(self, rows: int) -> Tensor:
        """Zeros [rows, 2 * layers * hidden]."""
        return torch.zeros(rows, 2 * self.layers * self.hidden)

    @torch.jit.export
    def prefill(self, state: Tensor, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Read several tokens per row by the arithmetic of `step`, without its output layer.

        tokens int64 [rows, T] padded to the longest, lengths int64 [rows] -> state.
        """
        for position in range(tokens.shape[1]):
            reading = (position < lengths).unsqueeze(1)
            state = torch.where(reading, self._advance(state, tokens[:, position]), state)
        return state

    @torch.jit.export
    def step(self, state: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Read one token per row, tokens int64 [rows] -> logits [rows, tokens], state."""
        state = self._advance(state, tokens)
        last = (self.layers - 1) * self.hidden
        return self.output(state[:, last : last + self.hidden]), state

    def _advance(self, state: Tensor, tokens: Tensor) -> Tensor:
        # the input product of layer 0, with its biases, is one stored row per token
        extra: Tensor | None = self.token_rows[tokens].to(torch.float32) * self.token_scales[tokens]
        hidden, cells = state.chunk(2, dim=1)
        parts = list(hidden.chunk(self.layers, dim=1))
        cell_parts = list(cells.chunk(self.layers, dim=1))
        for layer, module in enumerate(self.cells):
            # from layer 1 on, one product over the layer below and this layer's own past
            source = parts[layer] if layer == 0 else torch.cat(parts[layer - 1 : layer + 1], dim=1)
            parts[layer], cell_parts[layer] = module(source, extra, cell_parts[layer])
            extra = None
        return torch.cat(parts + cell_parts, dim=1)


@torch.no_grad()
def quantize(model: StackedLstm, never: Sequence[int]) -> Int8Lstm:
    """The served module of a trained model; it never writes the tokens in ``never``."""
    hidden = model.config.hidden
    parameters = dict(model.lstm.named_parameters())

    def gates(name: str, layer: int) -> Tensor:
        return _served_gates(parameters[f"{name}_l{layer}"].float())

    def bias(layer: int) -> Tensor:
        return gates("bias_ih", layer) + gates("bias_hh", layer)

    embedded = model.embedding.weight.float() * hidden**0.5
    token_rows, token_scales = _quantize_rows(embedded @ gates("weight_ih", 0).T + bias(0))
    cells = [Int8Cell(gates("weight_hh", 0), None, hidden)]
    for layer in range(1, model.config.layers):
        both = torch.cat([gates("weight_ih", layer), gates("weight_hh", layer)], dim=1)
        cells.append(Int8Cell(both, bias(layer), hidden))
    output_bias = model.output_bias.detach().clone()
    output_bias[list(never)] = NEVER
    output = Int8Linear(model.embedding.weight.float(), output_bias)
    return Int8Lstm(token_rows, token_scales, cells, output)


def _served_gates(weights: Tensor) -> Tensor:
    """Rows [4 * hidden, ...] from torch's order i, f, g, o to i, f, o, 2g."""
    i, f, g, o = weights.detach().chunk(4)
    return torch.cat([i, f, o, 2 * g])


def _quantize_rows(rows: Tensor) -> tuple[Tensor, Tensor]:
    """INT8 with one symmetric scale per row."""
    scales = rows.abs().amax(dim=1, keepdim=True).clamp(min=1e-12) / WEIGHT_LIMIT
    return (rows / scales).round().to(torch.int8), scales
