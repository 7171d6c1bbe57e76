"""Finds embedding, LSTM and output layer among weights, and makes the model that is served.

What the server runs has as many values per layer as fill whole vectors, and no projection. Both
are had without changing what a model computes: further values have weights of 0 and stay 0, and a
projection, which is linear, is multiplied into every matrix that reads it.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lstmserve_training.errors import DataError
from lstmserve_training.model import ModelConfig
from lstmserve_training.recipe.network import MAX_HIDDEN
from lstmserve_training.stacked import StackedLstm
from lstmserve_training.tokenizer import round_up

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lstmserve_training.importing.weights import Weights
    from lstmserve_training.recipe.sections import WeightsSection

FIRST = re.compile(r"(.*\.|)weight_ih_l0")
OF_LSTM = re.compile(r"(weight|bias)_(ih|hh|hr)_l\d+(_reverse)?")
EMBEDDING_WORDS = ("emb", "encoder", "wte", "lookup")
OUTPUT_WORDS = ("decoder", "out", "fc", "linear", "head", "proj", "classifier")
GATES = {4: "LSTM", 3: "GRU", 1: "plain RNN"}


@dataclass(frozen=True)
class Network:
    """The parts of a language model, as they were trained."""

    embedding: Tensor  # [tokens, width]
    layers: list[dict[str, Tensor]]  # weight_ih, weight_hh, bias, and weight_hr of projections
    output: Tensor  # [tokens, hidden or projection]
    output_bias: Tensor  # [tokens]
    names: dict[str, str]  # what was taken for what

    @property
    def hidden(self) -> int:
        return self.layers[0]["weight_ih"].shape[0] // 4

    @property
    def projection(self) -> int:
        """0 where there is none."""
        first = self.layers[0]
        return first["weight_hr"].shape[0] if "weight_hr" in first else 0

    @property
    def num_tokens(self) -> int:
        return self.embedding.shape[0]


def find_network(weights: Weights, section: WeightsSection) -> Network:
    """The parts, by the names that the recipe gives or by their shapes; raises DataError."""
    lstm = _find_lstm(weights, section.lstm)
    layers = _read_layers(weights, lstm)
    width = layers[0]["weight_ih"].shape[1]
    last = layers[0]["weight_hr"].shape[0] if "weight_hr" in layers[0] else None
    values = last or layers[0]["weight_ih"].shape[0] // 4
    matrices = {
        name: value
        for name, value in weights.items()
        if value.dim() == 2 and not OF_LSTM.fullmatch(name.rpartition(".")[2])  # noqa: PLR2004
    }
    embedding = _choose(matrices, section.embedding, width, EMBEDDING_WORDS, "embedding")
    others = {name: value for name, value in matrices.items() if name != embedding}
    rows = matrices[embedding].shape[0]
    fitting = {name: value for name, value in others.items() if value.shape[0] == rows}
    if section.output:
        output = _choose(matrices, section.output, values, OUTPUT_WORDS, "output")
    elif fitting or width != values:
        output = _choose(fitting or others, section.output, values, OUTPUT_WORDS, "output")
    else:
        output = embedding  # tied, and saved once
    bias = weights.get(f"{output.removesuffix('weight')}bias")
    names = {"embedding": embedding, "lstm": lstm or "(no prefix)", "output": output}
    _refuse_more(weights, lstm, (embedding, output, f"{output.removesuffix('weight')}bias"))
    return Network(
        matrices[embedding],
        layers,
        matrices[output],
        torch.zeros(rows) if bias is None else bias,
        names,
    )


def _find_lstm(weights: Weights, wanted: str) -> str:
    prefixes = [match[1] for name in weights if (match := FIRST.fullmatch(name))]
    if wanted:
        if f"{wanted}." not in prefixes:
            found = ", ".join(prefix.rstrip(".") or "(no prefix)" for prefix in prefixes) or "none"
            raise DataError(f"--lstm {wanted}: no such LSTM; there are: {found}")
        return f"{wanted}."
    if len(prefixes) != 1:
        found = ", ".join(prefix.rstrip(".") for prefix in prefixes) or _show(weights)
        raise DataError(f"{len(prefixes)} LSTMs are in the file ({found}): name one with --lstm")
    return prefixes[0]


def _read_layers(weights: Weights, prefix: str) -> list[dict[str, Tensor]]:
    if any(name.startswith(prefix) and name.endswith("_reverse") for name in weights):
        raise DataError(f"{prefix.rstrip('.')}: is bidirectional; text is written in one direction")
    _check_gates(weights, prefix)
    layers: list[dict[str, Tensor]] = []
    while f"{prefix}weight_ih_l{len(layers)}" in weights:
        layers.append(_read_layer(weights, prefix, len(layers)))
    return layers


def _check_gates(weights: Weights, prefix: str) -> None:
    gates, hidden = weights[f"{prefix}weight_hh_l0"].shape
    if f"{prefix}weight_hr_l0" in weights:
        hidden = weights[f"{prefix}weight_hr_l0"].shape[1]
    kind = GATES.get(gates // hidden, "no LSTM")
    if kind != "LSTM":
        raise DataError(f"{prefix.rstrip('.') or 'the file'}: is a {kind}; only LSTMs are served")
    if hidden > MAX_HIDDEN:
        raise DataError(
            f"{prefix.rstrip('.')}: {hidden} values per layer; at most {MAX_HIDDEN} are served, so "
            "that sums of integers stay exact"
        )


def _read_layer(weights: Weights, prefix: str, number: int) -> dict[str, Tensor]:
    def get(name: str) -> Tensor | None:
        return weights.get(f"{prefix}{name}_l{number}")

    weight_ih, weight_hh = get("weight_ih"), get("weight_hh")
    if weight_ih is None or weight_hh is None:
        raise DataError(f"{prefix}weight_hh_l{number} is missing")
    zeros = torch.zeros(weight_ih.shape[0])
    biases = [
        found if (found := get(name)) is not None else zeros for name in ("bias_ih", "bias_hh")
    ]
    layer = {"weight_ih": weight_ih, "weight_hh": weight_hh, "bias": biases[0] + biases[1]}
    weight_hr = get("weight_hr")
    return layer if weight_hr is None else {**layer, "weight_hr": weight_hr}


def _choose(matrices: Weights, wanted: str, columns: int, words: tuple[str, ...], what: str) -> str:
    """The matrix with so many columns; of several, the one whose name says what it is."""
    if wanted:
        name = wanted if wanted in matrices else f"{wanted}.weight"
        if name not in matrices:
            raise DataError(
                f"--{what} {wanted}: there is no such matrix; there are: {_show(matrices)}"
            )
        if matrices[name].shape[1] != columns:
            raise DataError(
                f"--{what} {wanted}: has {matrices[name].shape[1]} columns, but the LSTM {columns}"
            )
        return name
    found = [name for name, value in matrices.items() if value.shape[1] == columns]
    named = [name for name in found if any(word in name.lower() for word in words)]
    for names in (named, found):
        if len(names) == 1:
            return names[0]
    raise DataError(
        f"which matrix is the {what}? {columns} columns have: {', '.join(found) or 'none'}; name "
        f"it with --{what}. There are: {_show(matrices)}"
    )


def _refuse_more(weights: Weights, lstm: str, taken: Iterable[str]) -> None:
    """What is neither embedding, LSTM nor output would be lost, and the model another one."""
    more = [
        name
        for name in weights
        if name not in set(taken)
        and not (name.startswith(lstm) and OF_LSTM.fullmatch(name.removeprefix(lstm)))
    ]
    if more:
        raise DataError(
            f"further weights, which are not served: {', '.join(more)}; embedding, LSTM and one "
            "linear output layer are"
        )


def _show(weights: Weights) -> str:
    return ", ".join(f"{name} {list(value.shape)}" for name, value in weights.items()) or "none"


# --- as it is served ----------------------------------------------------------------------------


def to_model(network: Network, num_tokens: int, borrowed: dict[int, int]) -> StackedLstm:
    """The model that is served, of ``num_tokens`` tokens.

    ``borrowed`` are tokens that are read as others are, and what those are.
    """
    hidden = round_up(network.hidden)
    width = network.embedding.shape[1]
    config = ModelConfig(num_tokens, hidden, len(network.layers), 0.0, embedding=width)
    embedding = _padded(network.embedding, num_tokens, width)
    for token_id, other in borrowed.items():
        embedding[token_id] = network.embedding[other]
    state = {
        "embedding.weight": embedding,
        "output_weight": _padded(_unprojected(network, network.output), num_tokens, hidden),
        "output_bias": _padded(network.output_bias.unsqueeze(1), num_tokens, 1).squeeze(1),
    }
    for number, layer in enumerate(network.layers):
        inputs = layer["weight_ih"]
        columns = width if number == 0 else hidden
        if number:
            inputs = _unprojected(network, inputs, number - 1)
        recurrent = _unprojected(network, layer["weight_hh"], number)
        state[f"lstm.weight_ih_l{number}"] = _padded_gates(inputs, hidden, columns)
        state[f"lstm.weight_hh_l{number}"] = _padded_gates(recurrent, hidden, hidden)
        bias = _padded_gates(layer["bias"].unsqueeze(1), hidden, 1).squeeze(1)
        state[f"lstm.bias_ih_l{number}"] = bias
        state[f"lstm.bias_hh_l{number}"] = torch.zeros_like(bias)
    model = StackedLstm(config)
    model.load_state_dict(state)
    return model.eval()


def _unprojected(network: Network, matrix: Tensor, layer: int = -1) -> Tensor:
    """A matrix that reads a layer's projection, as one that reads the layer itself."""
    projection = network.layers[layer].get("weight_hr")
    return matrix if projection is None else matrix @ projection


def _padded_gates(matrix: Tensor, hidden: int, columns: int) -> Tensor:
    """Rows [4 * h, c] -> [4 * hidden, columns], zeros in between."""
    return torch.cat([_padded(gate, hidden, columns) for gate in matrix.chunk(4)])


def _padded(matrix: Tensor, rows: int, columns: int) -> Tensor:
    found = torch.zeros(rows, columns)
    found[: matrix.shape[0], : matrix.shape[1]] = matrix
    return found


class Original(nn.Module):
    """The network as torch runs it, for comparison."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        first = network.layers[0]
        width, count = first["weight_ih"].shape[1], len(network.layers)
        self.embedding = nn.Embedding(network.num_tokens, width, _weight=network.embedding)
        self.lstm = nn.LSTM(
            width, network.hidden, count, batch_first=True, proj_size=network.projection
        )
        with torch.no_grad():
            for number, layer in enumerate(network.layers):
                for name in ("weight_ih", "weight_hh", "weight_hr"):
                    if name in layer:
                        getattr(self.lstm, f"{name}_l{number}").copy_(layer[name])
                getattr(self.lstm, f"bias_ih_l{number}").copy_(layer["bias"])
                getattr(self.lstm, f"bias_hh_l{number}").zero_()
        self.output = nn.Linear(network.output.shape[1], network.num_tokens, device="meta")
        self.output.weight = nn.Parameter(network.output)
        self.output.bias = nn.Parameter(network.output_bias)

    @torch.no_grad()
    def forward(self, token_ids: Tensor) -> Tensor:
        """Token ids [rows, steps] -> logits [rows, steps, tokens], from a zero state."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="LSTM with projections")  # it is slower
            logits: Tensor = self.output(self.lstm(self.embedding(token_ids))[0])
        return logits
