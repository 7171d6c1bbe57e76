"""The served LSTMs once more, one token of one reply at a time, with plain integer products.

No TorchScript, no fused or quantized operator, no batch. Of torch only `sigmoid` and `exp2` are
used, on whole rows: their bits are what they are, and what is doubted is not the function but
what batching, scheduling and fused operators make of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Product:
    """One INT8 matrix product: weights int8 [out, in], scales and bias float32 [out]."""

    weights: Integers
    scales: Floats
    bias: Floats


@dataclass(frozen=True)
class AttentionParameters:
    """What attention multiplies by."""

    reading: Product  # of queries, keys and values
    slopes: Floats  # [heads]
    window: int
    scale: np.float32


@dataclass(frozen=True)
class Turns:
    """How what attention finds is read, and which tokens end and begin the writing of positions."""

    combine: Product
    pauses: npt.NDArray[np.bool_]
    resumes: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Parameters:
    """Everything a model version knows. Gates stand in the order i, f, o, 2g."""

    token_rows: Floats  # int8 values [tokens, 4 * hidden]: the input product of the first layer
    token_scales: Floats  # [tokens, 1]
    inputs: tuple[Product, ...]  # of the second layer and those above
    recurrent: tuple[Product, ...]
    projections: tuple[Product, ...]  # of what leaves each layer; none where all of it does
    output: Product
    attention: AttentionParameters | None
    turns: Turns | None


def _read_parameters(whole: torch.jit.ScriptModule) -> Parameters:
    """The numbers in a version's `model.pt`, however that file packs them."""
    module = whole.lstm if hasattr(whole, "lstm") else whole
    cells = [cell for _, cell in module.cells.named_children()]
    (_, tokens), *inputs = module.inputs.named_children()
    return Parameters(
        tokens.rows.numpy().astype(np.float32),
        tokens.scales.numpy(),
        tuple(unpack(product) for _, product in inputs),
        tuple(unpack(cell.product) for cell in cells),
        tuple(unpack(cell.projection) for cell in cells if hasattr(cell, "projection")),
        unpack(module.output),
        read_attention(whole.attention) if hasattr(whole, "attention") else None,
        _read_turns(whole) if hasattr(whole, "attention") else None,
    )


def read_attention(attention: torch.jit.ScriptModule) -> AttentionParameters:
    """The numbers of one layer of attention."""
    return AttentionParameters(
        unpack(attention.reading.product),
        attention.slopes.numpy().ravel(),
        attention.window,
        np.float32(attention.scale),
    )


def _read_turns(module: torch.jit.ScriptModule) -> Turns:
    return Turns(unpack(module.combine.product), module.pauses.numpy(), module.resumes.numpy())


def unpack(linear: torch.jit.ScriptModule) -> Product:
    """The numbers of one product."""
    weights, bias = torch.ops.quantized.linear_unpack(linear.packed)
    return Product(
        weights.int_repr().numpy().astype(np.int32),
        weights.q_per_channel_scales().numpy().astype(np.float32),
        bias.detach().numpy(),
    )


@dataclass(frozen=True)
class State:
    """What one reply has read so far: per layer, and per position that attention may look at."""

    hidden: tuple[Integers, ...]  # hidden values in 64ths
    cells: tuple[Floats, ...]
    positions: tuple[Integers, ...] = ()  # keys and values in 64ths, the last one last
    is_writing: bool = True


class ReferenceLstm:
    """Reads tokens and says what may follow."""

    def __init__(self, module: torch.jit.ScriptModule) -> None:
        """The module as it lies in a version."""
        self._parameters = _read_parameters(module)

    def initial_state(self) -> State:
        """Nothing read."""
        shapes = [product.weights.shape for product in self._parameters.recurrent]
        return State(
            tuple(np.zeros(width, np.int32) for _, width in shapes),
            tuple(np.zeros(gates // 4, np.float32) for gates, _ in shapes),
        )

    def read(self, state: State, token_id: int) -> State:
        """The state after one more token."""
        p = self._parameters
        hidden: list[Integers] = []
        cells: list[Floats] = []
        added = p.token_rows[token_id] * p.token_scales[token_id]
        for layer, recurrent in enumerate(p.recurrent):
            if layer > 0:
                added = multiply(p.inputs[layer - 1], hidden[-1])
            gates = multiply(recurrent, state.hidden[layer]) + added
            h, c = _lstm_cell(gates, state.cells[layer])
            if p.projections:
                values = np.rint(multiply(p.projections[layer], h))
                h = values.clip(-64, 64).astype(np.int32)
            hidden.append(h)
            cells.append(c)
        after = State(tuple(hidden), tuple(cells), state.positions, state.is_writing)
        if p.attention is None or p.turns is None:
            return after
        return _write(p.attention, p.turns, after, token_id)

    def logits(self, state: State) -> Floats:
        """Of the next token: [tokens]."""
        p, top = self._parameters, state.hidden[-1]
        if p.attention is not None and p.turns is not None:
            query = np.split(bounded(multiply(p.attention.reading, top)), 3)[0]
            found = attend(p.attention, query, state.positions)
            top = bounded(multiply(p.turns.combine, np.concatenate([top, found])))
        return multiply(p.output, top)


def _write(attention: AttentionParameters, turns: Turns, state: State, token_id: int) -> State:
    """Keep the key and the value of a token that was read, if positions are written now."""
    is_writing = (state.is_writing and not turns.pauses[token_id]) or turns.resumes[token_id]
    positions = state.positions
    if is_writing:
        read = bounded(multiply(attention.reading, state.hidden[-1]))
        positions = (*positions, read[len(read) // 3 :])[-attention.window :]
    return State(state.hidden, state.cells, positions, bool(is_writing))


def attend(
    attention: AttentionParameters, query: Integers, positions: tuple[Integers, ...]
) -> Integers:
    """What a query finds among the keys and values of positions, in 64ths."""
    if not positions:
        return np.zeros_like(query)
    heads, found = len(attention.slopes), []
    keys, values = np.split(np.stack(positions), 2, axis=1)
    distance = np.arange(len(positions))[::-1].astype(np.float32)
    for head, (own, key, value) in enumerate(
        zip(*(np.split(each, heads, axis=-1) for each in (query, keys, values)), strict=True)
    ):
        scores = (key @ own).astype(np.float32) * attention.scale
        scores = scores - attention.slopes[head] * distance
        padded = np.full(attention.window, -1e30, np.float32)
        padded[: len(scores)] = scores - scores.max()
        weights = np.rint(_exp2(padded)[: len(scores)] * np.float32(255)).astype(np.int32)
        sums = (weights @ value).astype(np.float32) / np.float32(weights.sum())
        found.append(np.rint(sums).astype(np.int32))
    return np.concatenate(found)


def bounded(values: Floats) -> Integers:
    """64 times the tanh of half of the values, rounded."""
    return np.rint(sigmoid(values) * np.float32(128) - np.float32(64)).astype(np.int32)


def multiply(product: Product, source: Integers) -> Floats:
    """The sums are exact, and so are their products with a power of two: one rounding."""
    sums = product.weights @ source
    return sums.astype(np.float32) * product.scales + product.bias


def _lstm_cell(gates: Floats, cell: Floats) -> tuple[Integers, Floats]:
    """One LSTM layer above its gates [4 * hidden]; tanh(x) = 2 sigmoid(2x) - 1.

    The module keeps its cells doubled: a factor of two rounds nothing, and changes no bit here.
    """
    two = np.float32(2)
    i, f, o, g = np.split(sigmoid(gates), 4)
    cell = cell * f + two * (g * i) - i
    hidden = two * (sigmoid(two * cell) * o) - o
    return np.rint(np.float32(64) * hidden).astype(np.int32), cell


def sigmoid(x: Floats) -> Floats:
    """Of a whole row."""
    values: Floats = torch.sigmoid(torch.from_numpy(x)).numpy()
    return values


def _exp2(x: Floats) -> Floats:
    values: Floats = torch.exp2(torch.from_numpy(x)).numpy()
    return values
