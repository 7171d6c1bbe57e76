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

from support.engines import LoadedModel

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
    """Everything a model version knows. Gates stand in the order i, f, o, 2g."""

    token_rows: Floats  # int8 values [tokens, 4 * hidden]: the input product of the first layer
    token_scales: Floats  # [tokens, 1]
    inputs: tuple[Product, ...]  # of the second layer and those above
    recurrent: tuple[Product, ...]
    output: Product


def read_parameters(model: LoadedModel) -> Parameters:
    """The numbers in a version's `model.pt`, however that file packs them."""
    module = torch.jit.load(str(model.bundle.model_path), map_location="cpu")  # type: ignore[no-untyped-call]
    (_, tokens), *inputs = module.inputs.named_children()
    return Parameters(
        tokens.rows.numpy().astype(np.float32),
        tokens.scales.numpy(),
        tuple(_unpack(product) for _, product in inputs),
        tuple(_unpack(cell.product) for _, cell in module.cells.named_children()),
        _unpack(module.output),
    )


def _unpack(linear: torch.jit.ScriptModule) -> Product:
    weights, bias = torch.ops.quantized.linear_unpack(linear.packed)
    return Product(
        weights.int_repr().numpy().astype(np.int32),
        weights.q_per_channel_scales().numpy().astype(np.float32),
        bias.detach().numpy(),
    )


@dataclass(frozen=True)
class State:
    """What one reply has read so far: per layer [hidden]."""

    hidden: tuple[Integers, ...]  # hidden values in 64ths
    cells: tuple[Floats, ...]


class ReferenceModel:
    """Reads tokens and says what may follow."""

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters

    def initial_state(self) -> State:
        """Nothing read."""
        width = self._parameters.output.weights.shape[1]
        layers = range(len(self._parameters.recurrent))
        return State(
            tuple(np.zeros(width, np.int32) for _ in layers),
            tuple(np.zeros(width, np.float32) for _ in layers),
        )

    def read(self, state: State, token_id: int) -> State:
        """The state after one more token."""
        p = self._parameters
        hidden: list[Integers] = []
        cells: list[Floats] = []
        added = p.token_rows[token_id] * p.token_scales[token_id]
        for layer, recurrent in enumerate(p.recurrent):
            if layer > 0:
                added = _multiply(p.inputs[layer - 1], hidden[-1])
            gates = _multiply(recurrent, state.hidden[layer]) + added
            h, c = _lstm_cell(gates, state.cells[layer])
            hidden.append(h)
            cells.append(c)
        return State(tuple(hidden), tuple(cells))

    def logits(self, state: State) -> Floats:
        """Of the next token: [tokens]."""
        return _multiply(self._parameters.output, state.hidden[-1])


def _multiply(product: Product, source: Integers) -> Floats:
    """The sums are exact, and so are their products with a power of two: one rounding."""
    sums = product.weights @ source
    return sums.astype(np.float32) * product.scales + product.bias


def _lstm_cell(gates: Floats, cell: Floats) -> tuple[Integers, Floats]:
    """One LSTM layer above its gates [4 * hidden]; tanh(x) = 2 sigmoid(2x) - 1.

    The module keeps its cells doubled: a factor of two rounds nothing, and changes no bit here.
    """
    two = np.float32(2)
    i, f, o, g = np.split(_sigmoid(gates), 4)
    cell = cell * f + two * (g * i) - i
    hidden = two * (_sigmoid(two * cell) * o) - o
    return np.rint(np.float32(64) * hidden).astype(np.int32), cell


def _sigmoid(x: Floats) -> Floats:
    values: Floats = torch.sigmoid(torch.from_numpy(x)).numpy()
    return values
