"""What the engine is compared with computes what it should."""

from __future__ import annotations

import pytest
import torch

from benchmarks.compare.servers.stock import VOCABULARY, StockLstm, zero_state
from benchmarks.engine.onnx_model import OnnxLstm, quantized, to_onnx


@pytest.mark.parametrize(("is_int8", "tolerance"), [(False, 1e-5), (True, 0.05)])
def test_onnx_runtime_runs_the_same_network(*, is_int8: bool, tolerance: float) -> None:
    torch.manual_seed(0)
    model = StockLstm().eval()
    exported = to_onnx(model)
    other = OnnxLstm(quantized(exported) if is_int8 else exported)
    expected, found = (zero_state(3), zero_state(3)), (zero_state(3), zero_state(3))
    with torch.inference_mode():
        for _ in range(3):
            tokens = torch.randint(VOCABULARY, (3, 1))
            logits, *expected = model(tokens, *expected)
            other_logits, *found = other(tokens, *found)
            for one, same in zip((logits, *expected), (other_logits, *found), strict=True):
                assert (one - same).abs().mean() < tolerance * one.abs().mean()
