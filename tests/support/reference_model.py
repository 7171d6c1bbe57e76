"""The served LSTM once more, one token of one reply at a time, with plain integer products.

No TorchScript, no fused or quantized operator, no batch. Of torch only `sigmoid` is used,
on whole rows: its bits are what they are, and what is doubted is not the function but
what batching, scheduling and fused operators make of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from lstmserve_server.store.loader import LoadedModel

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Product:
    """One INT8 matrix product: weights int8 [out, in], scales and bias float32 [out]."""

    weights: Integers
    scales: Floats
    bias: Floats


@dataclass(frozen=True)
class Parameters:
    """Everything a model version knows."""

    token_rows: Floats  # int8 values [tokens, 4 * hidden], the first layer's input product
    token_scales: Floats  # [tokens, 1]
    layers: tuple[Product, ...]  # gates in the order i, f, o, 2g
    output: Product
    activation_scale: float
    activation_zero_point: int


def read_parameters(model: LoadedModel) -> Parameters:
    """The numbers in a version's `model.pt`, however that file packs them."""
    module = torch.jit.load(str(model.bundle.model_path), map_location="cpu")  # type: ignore[no-untyped-call]
    return Parameters(
        module.token_rows.numpy().astype(np.float32),
        module.token_scales.numpy(),
        tuple(_unpack(cell.product) for _, cell in module.cells.named_children()),
        _unpack(module.output),
        module.output.scale,
        module.output.zero_point,
    )


def _unpack(linear: torch.jit.ScriptModule) -> Product:
    weights, bias = torch.ops.quantized.linear_unpack(linear.packed)
    scales = weights.q_per_channel_scales().numpy().astype(np.float32)
    no_bias = np.zeros_like(scales)
    return Product(
        weights.int_repr().numpy().astype(np.int32),
        scales,
        no_bias if bias is None else bias.detach().numpy(),
    )


@dataclass(frozen=True)
class State:
    """What one reply has read so far: per layer [hidden]."""

    hidden: tuple[Floats, ...]
    cells: tuple[Floats, ...]


class ReferenceModel:
    """Reads tokens and says what may follow."""

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters

    def initial_state(self) -> State:
        width = self._parameters.output.weights.shape[1]
        zeros = tuple(np.zeros(width, np.float32) for _ in self._parameters.layers)
        return State(zeros, zeros)

    def read(self, state: State, token_id: int) -> State:
        """The state after one more token."""
        p = self._parameters
        extra = p.token_rows[token_id] * p.token_scales[token_id]
        hidden: list[Floats] = []
        cells: list[Floats] = []
        for layer, product in enumerate(p.layers):
            past = state.hidden[layer]
            # from layer 1 on, one product over the layer below and this layer's own past
            source = past if layer == 0 else np.concatenate([hidden[layer - 1], past])
            gates = self._multiply(product, source)
            h, c = _lstm_cell(gates + extra if layer == 0 else gates, state.cells[layer])
            hidden.append(h)
            cells.append(c)
        return State(tuple(hidden), tuple(cells))

    def logits(self, state: State) -> Floats:
        """Of the next token: [tokens]."""
        return self._multiply(self._parameters.output, state.hidden[-1])

    def _multiply(self, product: Product, source: Floats) -> Floats:
        p = self._parameters
        # fbgemm multiplies by the float32 reciprocal and rounds halves to even
        steps = np.rint(source * (np.float32(1) / np.float32(p.activation_scale)))
        stored = np.clip(steps + p.activation_zero_point, 0, 255)
        integers = stored.astype(np.int32) - p.activation_zero_point
        return _dequantize(product.weights @ integers, product, p.activation_scale)


def _dequantize(sums: Integers, product: Product, activation_scale: float) -> Floats:
    """The last step of fbgemm: ``fma(float(sum), scale, bias)``, rounded once, all in float32.

    A float64 holds the product of two float32 exactly. Its sum with the bias is rounded
    twice here, which gives another float32 for about one value in 2 ** 29.
    """
    scales = np.float32(activation_scale) * product.scales  # itself rounded to float32
    exact = sums.astype(np.float32).astype(np.float64) * scales
    return (exact + product.bias).astype(np.float32)


def _lstm_cell(gates: Floats, cell: Floats) -> tuple[Floats, Floats]:
    """One LSTM layer above its gates [4 * hidden]; tanh(x) = 2 sigmoid(2x) - 1."""
    two, one = np.float32(2), np.float32(1)
    i, f, o, g = np.split(_sigmoid(gates), 4)
    cell = f * cell + i * (two * g - one)
    return o * (two * _sigmoid(two * cell) - one), cell


def _sigmoid(x: Floats) -> Floats:
    values: Floats = torch.sigmoid(torch.from_numpy(x)).numpy()
    return values
