"""From trained floats to the INT8 module that is served."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from lstmserve_training.errors import ExportError
from lstmserve_training.int8_lstm import (
    ACTIVATION_SCALE,
    Int8Cell,
    Int8Linear,
    Int8Lstm,
    TokenRows,
)
from lstmserve_training.model import LanguageModel
from lstmserve_training.stacked import StackedLstm

WEIGHT_LIMIT = 127
# exp() of such a logit is exactly 0: the token can never be chosen
NEVER = -10_000.0


def use_quantized_engine() -> None:
    """Have torch pack and unpack weights with fbgemm.

    The default engine depends on the build and the CPU, and ``x86`` is free to choose between
    fbgemm and oneDNN. Packed weights belong to the engine that packed them, and which
    products run must not be left to that choice.
    """
    if "fbgemm" not in torch.backends.quantized.supported_engines:
        raise ExportError("this build of torch has no fbgemm engine: quantize on an x86-64 CPU")
    torch.backends.quantized.engine = "fbgemm"


@torch.no_grad()
def quantize(model: StackedLstm, never: Sequence[int]) -> Int8Lstm:
    """The served module of a trained model; it never writes the tokens in ``never``."""
    hidden = model.config.hidden
    parameters = dict(model.lstm.named_parameters())

    def gates(name: str, layer: int) -> Tensor:
        return served_gates(parameters[f"{name}_l{layer}"].float())

    def bias(layer: int) -> Tensor:
        return gates("bias_ih", layer) + gates("bias_hh", layer)

    embedded = model.embedding.weight.float() * model.config.embedding_scale
    tokens = make_token_rows(embedded @ gates("weight_ih", 0).T + bias(0))
    layers = range(model.config.layers)
    products = [quantized_linear(gates("weight_ih", layer), bias(layer)) for layer in layers[1:]]
    cells = [
        Int8Cell(quantized_linear(gates("weight_hh", layer), torch.zeros(4 * hidden)))
        for layer in layers
    ]
    output = quantized_linear(model.output_weights.float(), output_bias_without(model, never))
    return Int8Lstm(tokens, products, cells, output)


def output_bias_without(model: LanguageModel, never: Sequence[int]) -> Tensor:
    """Return the bias of the output layer [tokens], by which some tokens are never written."""
    bias = model.output_bias.detach().clone()
    bias[list(never)] = NEVER
    return bias


def served_gates(weights: Tensor) -> Tensor:
    """Return rows [4 * hidden, ...] from torch's order i, f, g, o to i, f, o, 2g."""
    i, f, g, o = weights.detach().float().chunk(4)
    return torch.cat([i, f, o, 2 * g])


def make_token_rows(rows: Tensor) -> TokenRows:
    """Return what tokens add to the gates, [tokens, 4 * hidden], as INT8 with a scale per row."""
    scales = rows.abs().amax(dim=1, keepdim=True).clamp(min=1e-12) / WEIGHT_LIMIT
    return TokenRows((rows / scales).round().to(torch.int8), scales)


def quantized_linear(weight: Tensor, bias: Tensor) -> Int8Linear:
    """Return the layer of weight float32 [out, in] and bias float32 [out] over activations."""
    use_quantized_engine()
    whole, exponents = quantize_channels(weight)
    return Int8Linear(whole, exponents + round(math.log2(ACTIVATION_SCALE)), bias)


def quantize_channels(weight: Tensor) -> tuple[Tensor, Tensor]:
    """INT8 [out, in] and the exponent of two, int64 [out], that scales each row.

    A power of two keeps the scaled sums exact. It costs up to one bit of eight: the smallest
    that needs no clipping, or its half where clipping a few weights does less harm.
    """
    highest = weight.abs().amax(dim=1).clamp(min=1e-12)
    roomy = torch.ceil(torch.log2(highest / WEIGHT_LIMIT))
    is_better = _squared_error(weight, roomy - 1) < _squared_error(weight, roomy)
    exponents = torch.where(is_better, roomy - 1, roomy)
    return _whole(weight, exponents).to(torch.int8), exponents.long()


def _whole(weight: Tensor, exponents: Tensor) -> Tensor:
    scaled = weight / torch.exp2(exponents).unsqueeze(1)
    return scaled.round().clamp(-WEIGHT_LIMIT, WEIGHT_LIMIT)


def _squared_error(weight: Tensor, exponents: Tensor) -> Tensor:
    kept = _whole(weight, exponents) * torch.exp2(exponents).unsqueeze(1)
    return (kept - weight).square().sum(dim=1)
