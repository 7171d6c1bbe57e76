"""The served module of LSTMs with projection, in TorchScript.

What leaves a layer has no bounds of its own, so each value is divided by a power of two, which
rounds nothing, and what reads it is multiplied by that. TorchScript reads annotations as types, so
this module does not import ``annotations`` from ``__future__``.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from lstmserve_training.errors import ExportError
from lstmserve_training.int8_lstm import Int8Cell, Int8Linear, Int8Lstm
from lstmserve_training.projection import ProjectedLstm
from lstmserve_training.quantize import (
    make_token_rows,
    output_bias_without,
    quantized_linear,
    served_gates,
)

LARGEST = 4.0  # times the root mean square in training; larger values become the largest


class ProjectedCell(Int8Cell):
    """One LSTM layer whose output is multiplied by a matrix."""

    def __init__(self, product: Int8Linear, projection: Int8Linear) -> None:
        super().__init__(product)
        self.projection = projection

    def forward(self, added: Tensor, h: Tensor, c: Tensor) -> None:
        """Added [rows, 4 * hidden]; h [rows, projection] and c [rows, hidden] are overwritten."""
        values = self.projection(self.outputs(added, h, c).round_())
        h.copy_(values.round_().clamp_(-64.0, 64.0))

    @torch.jit.export
    def widen(self, rows: int) -> None:
        """Multiply by oneDNN from this many rows on; the bits are the same."""
        self.product.widen(rows)
        self.projection.widen(rows)


@torch.no_grad()
def quantize_projected(model: ProjectedLstm, never: Sequence[int]) -> Int8Lstm:
    """The served module of a trained model; it never writes the tokens in ``never``."""
    config = model.config
    if not model.mean_squares.any():
        raise ExportError("nobody knows how large projected values are: the model never trained")
    largest = model.mean_squares.sqrt() * LARGEST
    scales = torch.exp2(torch.ceil(torch.log2(largest.clamp(min=2.0**-16))))  # [layers, width]
    layers = [dict(lstm.named_parameters()) for lstm in model.lstm]
    biases = [served_gates(p["bias_ih_l0"] + p["bias_hh_l0"]) for p in layers]
    embedded = model.embedding.weight.float() * config.embedding_scale
    tokens = make_token_rows(embedded @ served_gates(layers[0]["weight_ih_l0"]).T + biases[0])
    products = [
        quantized_linear(served_gates(p["weight_ih_l0"]) * scales[below], bias)
        for below, (p, bias) in enumerate(zip(layers[1:], biases[1:], strict=True))
    ]
    none = torch.zeros(4 * config.hidden)
    cells: list[Int8Cell] = [
        ProjectedCell(
            quantized_linear(served_gates(p["weight_hh_l0"]) * scale, none),
            # 64 times the values, so that they only need rounding
            quantized_linear(
                64 * p["weight_hr_l0"].float() / scale.unsqueeze(1), torch.zeros(len(scale))
            ),
        )
        for p, scale in zip(layers, scales, strict=True)
    ]
    output = quantized_linear(
        model.output_weights.float() * scales[-1], output_bias_without(model, never)
    )
    return Int8Lstm(tokens, products, cells, output, config.projection)
