"""A published version as a model that training can go on with: its INT8 weights as floats.

The served module keeps, for each token, what its embedding adds to the gates of the first layer.
The embedding is that of the output layer, which it shares, so the first layer's input weights are
those that come nearest to all these rows.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lstmserve_bundle.bundle import MODEL_NAME, describe_file, open_bundle
from lstmserve_bundle.errors import BundleError
from lstmserve_bundle.manifest import MANIFEST_NAME
from lstmserve_training.checkpoint import load_best
from lstmserve_training.errors import DataError, MissingInputError
from lstmserve_training.export import load_module
from lstmserve_training.int8_lstm import ACTIVATION_SCALE
from lstmserve_training.model import LanguageModel, ModelConfig
from lstmserve_training.quantize import NEVER, use_quantized_engine
from lstmserve_training.stacked import StackedLstm
from lstmserve_training.work import BEST_NAME

if TYPE_CHECKING:
    from pathlib import Path

RUNS = "runs"  # beside a recipe


def is_published(folder: Path) -> bool:
    """Whether a folder is a version, and not a run."""
    return (folder / MANIFEST_NAME).is_file()


def find_model(wanted: str, folder: Path, store: Path, key: str) -> Path:
    """Return the folder of a model that a recipe's key names: of a version, or of a run.

    It is NAME/VERSION in the store, or a folder as the recipe sees it. Raises MissingInputError.
    """
    for found in (store / wanted, folder / wanted):
        if is_published(found) or (found / BEST_NAME).is_file():
            return found
    raise MissingInputError(
        f"{key}: {wanted!r} is neither NAME/VERSION in the store {store} nor the folder of a "
        "version, or of a run that was trained"
    )


def find_origin(wanted: str, folder: Path, store: Path, key: str) -> Path:
    """Return what ``find_model`` does; of a version the run that made it, where that is there.

    A version is INT8, and of most families it cannot be made floats again.
    """
    found = find_model(wanted, folder, store, key)
    if not is_published(found):
        return found
    try:
        digest = open_bundle(found).manifest.files[MODEL_NAME].sha256
    except BundleError as error:
        raise DataError(f"{key}: {error}") from None
    for model in sorted((folder / RUNS).glob(f"*/{MODEL_NAME}")):
        if (model.parent / BEST_NAME).is_file() and describe_file(model).sha256 == digest:
            return model.parent
    return found


def read_model(folder: Path) -> LanguageModel:
    """The model of a run, or of a published version; raises DataError."""
    return read_published(folder) if is_published(folder) else load_best(folder).model


@torch.no_grad()
def read_published(folder: Path) -> StackedLstm:
    """The model of a version that this project has published; raises DataError for another."""
    try:
        bundle = open_bundle(folder)
    except BundleError as error:
        raise DataError(f"training cannot begin with {folder}: {error}") from None
    sizes = bundle.manifest.sizes
    if bundle.manifest.family != "stacked-lstm":
        raise DataError(
            f"training cannot begin with {folder}, or learn from it: of the family "
            f"{bundle.manifest.family} name the folder of the run that made it"
        )
    model = StackedLstm(ModelConfig(sizes.vocabulary, sizes.hidden, sizes.layers))
    if sizes.parameters != sum(parameter.numel() for parameter in model.parameters()):
        raise DataError(
            f"training cannot begin with {folder}: its output layer is not its embedding, which a "
            "version does not hold; name the folder of the run that made it"
        )
    use_quantized_engine()
    module = load_module(folder / MODEL_NAME)
    try:
        weights = _read(module)
    except (AttributeError, RuntimeError, IndexError) as error:
        raise DataError(
            f"training cannot begin with {folder}: it is no version that lstmserve-train has made: "
            f"{error}"
        ) from None
    model.load_state_dict(weights)
    return model


def _read(module: Any) -> dict[str, Tensor]:  # noqa: ANN401 - a script module
    tokens, *products = (part for _, part in module.inputs.named_children())
    cells = [part for _, part in module.cells.named_children()]
    embedding, output_bias = _unpack(module.output)
    weights, bias = _first_layer(embedding, tokens)
    found = {"embedding.weight": embedding, "output_bias": _without_never(output_bias)}
    found |= {"lstm.weight_ih_l0": weights, "lstm.bias_ih_l0": bias}
    for layer, product in enumerate(products, start=1):
        weights, bias = _unpack(product)
        found |= {
            f"lstm.weight_ih_l{layer}": _trained_gates(weights),
            f"lstm.bias_ih_l{layer}": _trained_gates(bias),
        }
    for layer, cell in enumerate(cells):
        weights, bias = _unpack(cell.product)
        found[f"lstm.weight_hh_l{layer}"] = _trained_gates(weights)
        found[f"lstm.bias_hh_l{layer}"] = torch.zeros_like(bias)
    return found


def _unpack(product: Any) -> tuple[Tensor, Tensor]:  # noqa: ANN401 - a script module
    """Weights as trained, float32 [out, in], and the bias."""
    weights, bias = torch.ops.quantized.linear_unpack(product.packed)
    return weights.dequantize() / ACTIVATION_SCALE, bias


def _first_layer(embedding: Tensor, tokens: Any) -> tuple[Tensor, Tensor]:  # noqa: ANN401
    """Input weights [4 * hidden, hidden] and bias, by least squares over all tokens."""
    hidden = embedding.shape[1]
    rows = _trained_gates((tokens.rows.float() * tokens.scales).T).T  # [tokens, 4 * hidden]
    inputs = torch.cat([embedding * math.sqrt(hidden), torch.ones(len(embedding), 1)], dim=1)
    found = torch.linalg.lstsq(inputs.double(), rows.double()).solution.float()
    return found[:hidden].T.contiguous(), found[hidden]


def _trained_gates(weights: Tensor) -> Tensor:
    """Rows [4 * hidden, ...] from the served order i, f, o, 2g to torch's i, f, g, o."""
    i, f, o, g = weights.chunk(4)
    return torch.cat([i, f, g / 2, o])


def _without_never(bias: Tensor) -> Tensor:
    """Tokens that are never written are as unlikely as the least likely one."""
    is_written = bias > NEVER / 2
    return torch.where(is_written, bias, bias[is_written].min())
