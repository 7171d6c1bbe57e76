"""The served module: close to the floats, and the same bits in every company."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lstmserve_training.errors import DataError, ExportError
from lstmserve_training.export import check_same_bits, export, load_module
from lstmserve_training.int8_lstm import Int8Linear, Int8Lstm
from lstmserve_training.model import ModelConfig
from lstmserve_training.quantize import quantize, quantize_channels, use_quantized_engine
from lstmserve_training.stacked import StackedLstm
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


def whole_numbers(rows: int, columns: int, seed: int) -> torch.Tensor:
    """Activations as the module makes them, float32 [rows, columns] from -64 to 64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-64, 65, (rows, columns), generator=generator).float()


def make_layer(out: int, columns: int, seed: int) -> tuple[Int8Linear, torch.Tensor]:
    """A layer of random weights, and what it computes in plain integers, as a function's table."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randint(-127, 128, (out, columns), dtype=torch.int8, generator=generator)
    exponents = torch.randint(-16, -8, (out,), generator=generator)
    bias = torch.randn(out, generator=generator)
    return Int8Linear(weight, exponents, bias), weight.long().t()


@pytest.mark.parametrize("wide_rows", [1, 1000])
@given(st.integers(0, 1000), st.integers(1, 40))
def test_a_layer_is_plain_integer_arithmetic_bit_for_bit(
    wide_rows: int, seed: int, rows: int
) -> None:
    """By either library; the only float operation that rounds is adding the bias."""
    layer, table = make_layer(64, 128, seed)
    layer.widen(wide_rows)
    x = whole_numbers(rows, 128, seed)
    expected = (x.long() @ table).float() * layer.scale + layer.bias
    assert torch.equal(layer(x), expected)


@pytest.mark.parametrize("wide_rows", [1, 1000])
def test_nothing_saturates_and_no_sum_is_too_long_for_a_float(wide_rows: int) -> None:
    """All at their limits: eight bits of activation would clip pairs of products to 16 bits."""
    weight = torch.full((64, 1024), 127, dtype=torch.int8)
    layer = Int8Linear(weight, torch.zeros(64, dtype=torch.int64), torch.zeros(64))
    layer.widen(wide_rows)
    for activation in (64.0, -64.0, 63.0):
        found = layer(torch.full((2, 1024), activation))
        assert torch.equal(found, torch.full((2, 64), activation * 127 * 1024))


@given(st.integers(0, 1000))
def test_weights_are_the_nearest_whole_numbers_times_powers_of_two(seed: int) -> None:
    weight = torch.randn(16, 64, generator=torch.Generator().manual_seed(seed)) * 0.1
    whole, exponents = quantize_channels(weight)
    step = torch.exp2(exponents.float()).unsqueeze(1)
    error = (whole.float() * step - weight).abs()
    is_clipped = whole.abs() == 127
    assert torch.all(error[~is_clipped] <= (step / 2).expand_as(error)[~is_clipped])
    # clipping is allowed where it does less harm than a step twice as large
    coarse = (weight / (2 * step)).round() * 2 * step
    assert torch.all(error.square().sum(1) <= (coarse - weight).square().sum(1) + 1e-9)


def test_it_stays_close_to_the_floats(model: StackedLstm, module: Int8Lstm) -> None:
    check_close(model, module)


@pytest.mark.parametrize("width", [32, 40, 128])
def test_a_model_with_an_output_layer_of_its_own_is_as_close(width: int, tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = StackedLstm(ModelConfig(128, 64, dropout=0.0, embedding=width)).eval()
    torch.nn.init.normal_(model.output_bias)  # else no token stands out
    export(quantize(model, NEVER), tmp_path / "model.pt")
    check_close(model, load_module(tmp_path / "model.pt"))


def check_close(model: StackedLstm, module: Int8Lstm) -> None:
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


def test_the_other_product_changes_no_bit(module: Int8Lstm, tmp_path: Path) -> None:
    tokens = random_tokens(20, 12)
    before = read(module, tokens)
    torch.jit.save(module, tmp_path / "copy.pt")
    wide = load_module(tmp_path / "copy.pt")
    wide.widen(1)
    after = read(wide, tokens)
    assert torch.equal(after[0], before[0])
    assert torch.equal(after[1], before[1])


@given(st.integers(1, 12), st.integers(0, 99))
def test_what_is_read_ahead_has_the_bits_of_its_steps(
    module: Int8Lstm, count: int, seed: int
) -> None:
    tokens = random_tokens(1, 3 + count, seed)
    _, begun = read(module, tokens[:, :3])
    logits, states = module.read_ahead(begun, tokens[0, 3:])
    for number in range(count):
        expected, state = read(module, tokens[:, : 4 + number])
        assert torch.equal(logits[number], expected[-1, 0])
        assert torch.equal(states[number], state[0])
    assert torch.equal(begun, read(module, tokens[:, :3])[1])


def test_a_step_works_in_place(module: Int8Lstm) -> None:
    _, state = read(module, random_tokens(2, 3))
    for after in (
        module.step(state, torch.tensor([4, 5]))[1],
        module.prefill(state, torch.tensor([[4], [5]]), torch.tensor([1, 1])),
    ):
        assert after.data_ptr() == state.data_ptr()


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
        other.inputs[0].scales.mul_(1.001)
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
