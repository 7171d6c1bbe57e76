"""A fitted network as the whole numbers of ``classifier.bin``."""

from __future__ import annotations

from array import array
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from lstmserve_bundle.classifier import INPUT_BITS, LANE_BITS, WEIGHT_BITS
from lstmserve_bundle.classifier_file import (
    NUM_BLOCKS,
    ClassifierFile,
    ClassifierHeader,
    ScopeHeader,
)
from lstmserve_bundle.ngram_table import OFFSET
from lstmserve_training.errors import ExportError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from lstmserve_training.classifying.fitting import Learned
    from lstmserve_training.recipe.classifier import ClassifierSection

LARGEST = 127
INT16 = (1 << 15) - 1
# of rows' values; the few beyond are cut, so that all others are told apart finer
CUT_SHARE = 1e-4


@torch.no_grad()
def export(learned: Learned, section: ClassifierSection) -> ClassifierFile:
    """The file, without calibration: its temperature is 1."""
    network, width = learned.network, section.width
    weights = network.rows.weight.double()
    scale = LARGEST / float(_quantile(weights.abs().flatten(), 1 - CUT_SHARE))
    rows = (weights * scale).round().clamp(-LARGEST, LARGEST).to(torch.int16) + OFFSET
    is_scoped = bool(section.out_of_scope)
    header = ClassifierHeader(
        schema_version=1,
        labels=learned.labels,
        out_of_scope=section.out_of_scope,
        ngrams=len(learned.hashes),
        width=width,
        hidden=section.hidden,
        evidence=max(1, round(float(network.evidence.exp()) * scale)),
        temperature=1.0,
        scope=ScopeHeader(bias=0, output=1, margin=0, probability=0, known=0)
        if is_scoped
        else None,
    )
    unit = torch.ones(section.hidden + NUM_BLOCKS * width, dtype=torch.double)
    unit[section.hidden :] = width**0.5  # vectors have length 1 in the file, and this in training
    lengths = _lengths(network.hidden, width) if network.hidden is not None else torch.zeros(0)
    hidden = _whole(network.hidden, unit[section.hidden :]) if network.hidden is not None else None
    output = _whole(network.output, unit)
    _check_lanes(output[0], lengths.double(), section.hidden)
    return ClassifierFile(
        header,
        array("I", learned.hashes),
        rows.to(torch.uint8).numpy().tobytes(),
        array("h", hidden[0].flatten().tolist() if hidden else []),
        array("i", hidden[1].tolist() if hidden else []),
        array("h", output[0].flatten().tolist()),
        array("i", output[1].tolist()),
    )


def calibrated(
    file: ClassifierFile, temperature: float, scope: ScopeHeader | None
) -> ClassifierFile:
    """The same file with what held-out questions have shown."""
    update = {"temperature": temperature, "scope": scope}
    return replace(file, header=file.header.model_copy(update=update))


def _whole(layer: nn.Linear, unit: Tensor) -> tuple[Tensor, Tensor]:
    """Weights [inputs, outputs] and biases [outputs] of a layer."""
    weights = (layer.weight.double() * unit * (1 << WEIGHT_BITS)).round().T.contiguous()
    if float(weights.abs().max()) > INT16:
        raise ExportError("the classifier's weights are too large: lower classifier.learning_rate")
    return weights.long(), (layer.bias.double() * (1 << (INPUT_BITS + WEIGHT_BITS))).round().long()


def _lengths(layer: nn.Linear, width: int) -> Tensor:
    """The most that each hidden value can be: inputs are vectors of length 1 in three blocks."""
    blocks = (layer.weight.double() * width**0.5).view(layer.out_features, NUM_BLOCKS, width)
    found: Tensor = blocks.norm(dim=2).sum(1) + layer.bias.double().abs()
    return found


def _check_lanes(weights: Tensor, largest_hidden: Tensor, num_hidden: int) -> None:
    """Raise ExportError where a score could be larger than its lane."""
    real = weights.double() / (1 << WEIGHT_BITS)
    blocks = real[num_hidden:].view(NUM_BLOCKS, -1, real.shape[1]).norm(dim=1).sum(0)
    most = float((largest_hidden @ real[:num_hidden].abs() + blocks).max())
    if most * (1 << (INPUT_BITS + WEIGHT_BITS)) >= 1 << (LANE_BITS - 1):
        raise ExportError("the classifier's scores are too large: lower classifier.learning_rate")


def _quantile(values: Tensor, share: float) -> Tensor:
    """Return a quantile; torch's own takes 16 million values at most."""
    found: Tensor = values.kthvalue(max(1, round(share * len(values)))).values
    return found
