"""The served module: close to the floats, and the same bits in every company."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lstmserve_training.errors import DataError, ExportError
from lstmserve_training.export import check_same_bits, export, load_module
from lstmserve_training.model import StackedLstm
from lstmserve_training.quantize import Int8Linear, Int8Lstm, quantize, use_quantized_engine
from lstmserve_training.stepper import FloatLstm, stock_int8

NEVER = [0, 1]


@pytest.fixture(scope="module")
def module(model: StackedLstm, tmp_path_factory: pytest.TempPathFactory) -> Int8Lstm:
    path = tmp_path_factory.mktemp("export") / "model.pt"
    export(quantize(model, NEVER), path)
    return load_module(path)


def read(module: Int8Lstm, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of every step [steps, rows, tokens] and the last state."""
    state = module.initial_state(tokens.shape[0])
    logits = []
    for column in tokens.unbind(1):
        found, state = module.step(state, column)
        logits.append(found)
    return torch.stack(logits), state


def random_tokens(rows: int, steps: int, seed: int = 1) -> torch.Tensor:
    return torch.randint(128, (rows, steps), generator=torch.Generator().manual_seed(seed))


def plain_linear(
    x: npt.NDArray[np.float32], weight: npt.NDArray[np.float32], bias: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64]:
    """The quantized layer in plain integers, from its definition."""
    scales = np.abs(weight).max(axis=1).astype(np.float64) / 127
    rows = np.rint(weight / scales[:, None]).astype(np.int64)
    activations = np.clip(np.rint(x.astype(np.float64) * 63) + 64, 0, 127).astype(np.int64)
    return ((activations - 64) @ rows.T) * (scales / 63) + bias


def away_from_ties(values: npt.NDArray[np.float64], step: float) -> npt.NDArray[np.float32]:
    """Values that round to the same multiple of ``step`` in floats and in doubles."""
    nearest = np.rint(values / step)
    return (step * (nearest + np.clip(values / step - nearest, -0.49, 0.49))).astype(np.float32)


@given(st.integers(0, 2**32 - 1), st.integers(1, 9))
def test_the_quantized_layer_is_plain_integer_arithmetic(seed: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    weight = away_from_ties(np.clip(rng.normal(size=(32, 96)), -2, 2), 2 / 127)
    weight[:, 0] = 2.0  # the largest of each row, so that the scale is known: 2 / 127
    bias = rng.normal(size=32).astype(np.float32)
    x = away_from_ties(np.tanh(rng.normal(size=(rows, 96))), 1 / 63)
    layer = Int8Linear(torch.from_numpy(weight), torch.from_numpy(bias))
    found = layer(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(found, plain_linear(x, weight, bias), rtol=1e-6, atol=1e-5)


def test_seven_bits_cannot_saturate_a_pair_of_products() -> None:
    """All at their limits: the sum must not be clipped to 16 bits, as eight bits would be."""
    layer = Int8Linear(torch.ones(8, 512), None)
    assert torch.allclose(layer(torch.ones(1, 512)), torch.full((1, 8), 512.0), rtol=1e-5)


def test_activations_have_one_scale_whatever_the_batch(model: StackedLstm) -> None:
    layer = Int8Linear(torch.randn(16, 64, generator=torch.Generator().manual_seed(1)), None)
    small, large = torch.full((1, 64), 0.01), torch.full((1, 64), 0.99)
    assert torch.equal(layer(torch.cat([small, large]))[:1], layer(small))


def test_it_stays_close_to_the_floats(model: StackedLstm, module: Int8Lstm) -> None:
    tokens = random_tokens(8, 30)
    with torch.no_grad():
        expected = model(tokens, None)[0].transpose(0, 1).log_softmax(-1)
        found = read(module, tokens)[0]
    kept = [token for token in range(128) if token not in NEVER]
    # the masked tokens' probability is spread over the others, the same for all of them
    difference = found[..., kept].log_softmax(-1) - expected[..., kept].log_softmax(-1)
    assert float(difference.abs().mean()) < 0.05
    agree = found[..., kept].argmax(-1) == expected[..., kept].argmax(-1)
    assert float(agree.double().mean()) > 0.9


def test_masked_tokens_have_no_probability(module: Int8Lstm) -> None:
    logits = read(module, random_tokens(3, 4))[0]
    assert torch.all((logits - logits.amax(-1, keepdim=True)).exp()[..., NEVER] == 0)


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 16, 33])
def test_company_does_not_change_a_bit(module: Int8Lstm, rows: int) -> None:
    tokens = random_tokens(33, 12)
    logits, state = read(module, tokens)
    some_logits, some_state = read(module, tokens[:rows])
    assert torch.equal(some_logits, logits[:, :rows])
    assert torch.equal(some_state, state[:rows])
    turned_logits, _ = read(module, tokens.flip(0))
    assert torch.equal(turned_logits.flip(1), logits)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(0, 1000))
def test_prefilling_in_pieces_is_reading_step_by_step(
    module: Int8Lstm, lengths: list[int], seed: int
) -> None:
    rows, longest = len(lengths), max(lengths)
    tokens = random_tokens(rows, longest, seed)
    state = module.initial_state(rows)
    for start in range(0, longest, 4):
        piece = tokens[:, start : start + 4]
        left = (torch.tensor(lengths) - start).clamp(0, piece.shape[1])
        state = module.prefill(state, piece, left)
    for row, length in enumerate(lengths):
        _, expected = read(module, tokens[row : row + 1, :length])
        assert torch.equal(state[row : row + 1], expected)


def test_a_step_leaves_its_inputs_alone(module: Int8Lstm) -> None:
    _, state = read(module, random_tokens(2, 3))
    before = state.clone()
    module.step(state, torch.tensor([4, 5]))
    module.prefill(state, torch.tensor([[4], [5]]), torch.tensor([1, 1]))
    assert torch.equal(state, before)


def test_the_state_is_what_the_manifest_says(module: Int8Lstm) -> None:
    state = module.initial_state(3)
    assert state.shape == (3, 2 * 2 * 64)
    assert state.dtype == torch.float32
    assert not state.any()


def test_the_floats_behind_the_contract_are_the_trained_model(model: StackedLstm) -> None:
    tokens = random_tokens(3, 6)
    stepper = FloatLstm(model)
    state = stepper.initial_state(3)
    with torch.no_grad():
        expected = model(tokens, None)[0]
        for step, column in enumerate(tokens.unbind(1)):
            logits, state = stepper.step(state, column)
            torch.testing.assert_close(logits, expected[:, step])


def test_stock_quantization_really_quantizes_the_output_layer(model: StackedLstm) -> None:
    stock = stock_int8(model, NEVER)
    kinds = {child.original_name for child in stock.children()}  # type: ignore[attr-defined]
    with torch.no_grad():
        logits, _ = stock.step(stock.initial_state(2), torch.tensor([4, 5]))
        exact, _ = FloatLstm(model, NEVER).step(torch.zeros(2, 256), torch.tensor([4, 5]))
    assert kinds == {"Embedding", "LSTM", "Linear"}
    assert 0 < float((logits - exact).abs().max()) < 0.5


def test_a_module_of_other_weights_is_told_apart(model: StackedLstm, module: Int8Lstm) -> None:
    other = quantize(model, NEVER)
    with torch.no_grad():
        other.token_scales.mul_(1.001)
    with pytest.raises(ExportError, match="the exported module gives other"):
        check_same_bits(other, module)


def test_a_file_that_is_no_module_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"model\.pt cannot be read as TorchScript"):
        load_module(tmp_path / "model.pt")


def test_weights_are_packed_by_fbgemm_whatever_was_set(model: StackedLstm) -> None:
    before = torch.backends.quantized.engine
    others = set(torch.backends.quantized.supported_engines) - {"fbgemm", "none"}
    torch.backends.quantized.engine = min(others)
    try:
        quantize(model, NEVER)
        assert torch.backends.quantized.engine == "fbgemm"
    finally:
        torch.backends.quantized.engine = before


def test_a_build_without_fbgemm_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(torch.backends.quantized), "supported_engines", ["qnnpack"])
    with pytest.raises(ExportError, match="no fbgemm engine"):
        use_quantized_engine()
