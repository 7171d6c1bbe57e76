"""The same architecture by ONNX Runtime, as float32 and with its dynamic quantization."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import Tensor

from benchmarks.compare.servers.stock import HIDDEN, LAYERS, VOCABULARY, StockLstm

OPSET = 21
FLOAT_STATE: list[int | str | None] = [LAYERS, "rows", HIDDEN]
# torch has gates in the order i, f, g, o; ONNX has i, o, f, c
GATES = [0, 3, 1, 2]


class OnnxLstm:
    """A session behind the interface of the stock model; it takes one token of each row."""

    def __init__(self, model: onnx.ModelProto) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3  # what it could do with more operators is not asked here
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, ["CPUExecutionProvider"]
        )

    def __call__(self, tokens: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens [rows, 1], h and c [layers, rows, hidden] -> logits [rows, tokens], h, c."""
        inputs = {"tokens": tokens.T.numpy(), "h": h.numpy(), "c": c.numpy()}
        logits, h_after, c_after = self._session.run(["logits", "h_after", "c_after"], inputs)
        return torch.from_numpy(logits), torch.from_numpy(h_after), torch.from_numpy(c_after)


def to_onnx(model: StockLstm) -> onnx.ModelProto:
    """Return the model with the operators that ONNX has for it."""
    weights = {name: value.detach().numpy() for name, value in model.named_parameters()}
    constants = {"embedding": weights["embedding.weight"], "axis": np.array([0])}
    nodes = [helper.make_node("Gather", ["embedding", "tokens"], ["read_0"])]
    for layer in range(LAYERS):
        constants |= _layer_weights(weights, layer)
        nodes += _layer(layer)
    constants |= {"output": weights["output.weight"].T, "bias": weights["output.bias"]}
    nodes += [
        helper.make_node("Squeeze", [f"read_{LAYERS}", "axis"], ["top"]),
        helper.make_node("MatMul", ["top", "output"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["logits"]),
        *(_join(name) for name in ("h", "c")),
    ]
    graph = helper.make_graph(
        nodes,
        "lstm",
        [helper.make_tensor_value_info("tokens", TensorProto.INT64, [1, "rows"]), *_states("")],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["rows", VOCABULARY]),
            *_states("_after"),
        ],
        [numpy_helper.from_array(np.ascontiguousarray(x), name) for name, x in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)


def quantized(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return it with INT8 weights, and activations that take their scale from the batch.

    Weights use seven bits: with eight, sums of 16 bits overflow on processors without VNNI, and the
    outputs are off by 8 % instead of 1 %. It is as fast either way.
    """
    with TemporaryDirectory() as folder:
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(model, source)
        quantize_dynamic(
            source, target, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True
        )
        return onnx.load(target)


def _layer(number: int) -> list[onnx.NodeProto]:
    own = [f"{name}_{number}" for name in ("w", "r", "b")]
    return [
        *(_part(name, number) for name in ("h", "c")),
        helper.make_node(
            "LSTM",
            [f"read_{number}", *own, "", f"h_{number}", f"c_{number}"],
            [f"all_{number}", f"h_after_{number}", f"c_after_{number}"],
            hidden_size=HIDDEN,
        ),
        # [steps, directions, rows, hidden] -> [steps, rows, hidden]
        helper.make_node("Squeeze", [f"all_{number}", "direction"], [f"read_{number + 1}"]),
    ]


def _part(name: str, number: int) -> onnx.NodeProto:
    bounds = [f"from_{number}", f"to_{number}", "axis"]
    return helper.make_node("Slice", [name, *bounds], [f"{name}_{number}"])


def _join(name: str) -> onnx.NodeProto:
    parts = [f"{name}_after_{layer}" for layer in range(LAYERS)]
    return helper.make_node("Concat", parts, [f"{name}_after"], axis=0)


def _layer_weights(weights: dict[str, np.ndarray], layer: int) -> dict[str, np.ndarray]:
    def reordered(name: str) -> np.ndarray:
        gates = weights[f"lstm.{name}_l{layer}"].reshape(4, HIDDEN, -1)[GATES]
        return gates.reshape(1, 4 * HIDDEN, -1)

    biases = [reordered(name).reshape(1, -1) for name in ("bias_ih", "bias_hh")]
    return {
        f"w_{layer}": reordered("weight_ih"),
        f"r_{layer}": reordered("weight_hh"),
        f"b_{layer}": np.concatenate(biases, axis=1),
        f"from_{layer}": np.array([layer]),
        f"to_{layer}": np.array([layer + 1]),
        "direction": np.array([1]),
    }


def _states(ending: str) -> list[onnx.ValueInfoProto]:
    return [
        helper.make_tensor_value_info(f"{name}{ending}", TensorProto.FLOAT, FLOAT_STATE)
        for name in ("h", "c")
    ]
