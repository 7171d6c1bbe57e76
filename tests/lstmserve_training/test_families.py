"""What is true of every family: as it is trained, and as it is served."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from benchmarks.families.versions import SIZES, make_network
from lstmserve_training.families import quantize_model
from lstmserve_training.model import LanguageModel
from lstmserve_training.stacked import StackedLstm
from lstmserve_training.stepper import Served, Stepper, make_stepper, stock_int8

NUM_TOKENS = 128
ASK, REPLY = 3, 4
LONG = 150  # more than the window


@pytest.fixture(scope="module", params=SIZES)
def model(request: pytest.FixtureRequest) -> LanguageModel:
    turns = {"pauses": (REPLY,), "resumes": (ASK,)} if request.param == "attentive" else {}
    return make_network(request.param, NUM_TOKENS, **turns)


@pytest.fixture(scope="module")
def served(model: LanguageModel) -> Served:
    return quantize_model(model, [1])


def draw_tokens(rows: int, steps: int) -> Tensor:
    return torch.randint(5, NUM_TOKENS, (rows, steps), generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def read(stepper: Stepper, tokens: Tensor) -> Tensor:
    """Scores after each token, [rows, steps, tokens]."""
    state, found = stepper.initial_state(len(tokens)), []
    for column in tokens.unbind(1):
        scores, state = stepper.step(state, column)
        found.append(scores)
    return torch.stack(found, dim=1)


@torch.no_grad()
def test_a_network_reads_in_segments_and_steps_what_it_reads_at_once(model: LanguageModel) -> None:
    tokens = draw_tokens(3, LONG)
    tokens[:, 40], tokens[1:, 90] = REPLY, ASK
    whole, _ = model(tokens, None)
    first, state = model(tokens[:, :70], None)
    second, _ = model(tokens[:, 70:], state)
    assert torch.allclose(torch.cat([first, second], dim=1), whole, atol=1e-4)
    assert torch.allclose(read(make_stepper(model), tokens), whole, atol=1e-4)


@torch.no_grad()
def test_the_served_module_is_the_network_to_within_its_rounding(
    model: LanguageModel, served: Served
) -> None:
    tokens = draw_tokens(4, 40)
    expected, found = model(tokens, None)[0], read(served, tokens)
    assert (found[..., 1] < -9_000).all()  # what is never written
    expected[..., 1] = found[..., 1]
    assert (found - expected).square().mean() < 0.05 * expected.var()


@torch.no_grad()
def test_prompts_of_any_length_are_read_side_by_side_bit_for_bit(served: Served) -> None:
    tokens, lengths = draw_tokens(4, LONG), torch.tensor([1, LONG, 70, 33])
    tokens[1, 30], tokens[1, 100], tokens[2, 69] = REPLY, ASK, REPLY
    state = served.prefill(served.initial_state(4), tokens, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = served.initial_state(1)
        for token in tokens[row, :length]:
            _, alone = served.step(alone, token[None])
        assert torch.equal(state[row : row + 1], alone)


@torch.no_grad()
def test_stock_quantization_runs_beside_it(model: LanguageModel) -> None:
    tokens = draw_tokens(2, 12)
    found, expected = read(stock_int8(model, ()), tokens), model(tokens, None)[0]
    assert (found - expected).square().mean() < 0.05 * expected.var()


@pytest.mark.parametrize("family", ["hybrid", "attentive"])
@torch.no_grad()
def test_attention_sees_its_window_and_no_more(family: str) -> None:
    """Of layers that keep nothing, what is older than the window changes no score."""
    model = make_network(family, NUM_TOKENS)
    for name, parameter in model.lstm.named_parameters():
        if name.startswith("weight_hh"):
            parameter.zero_()
        if name.startswith("bias_ih"):
            parameter[64:128] = -100.0  # nothing of a cell is kept
    model.attention.log_slopes.fill_(-20.0)  # no position counts less for being far
    window = model.config.window
    tokens = draw_tokens(2, LONG)
    tokens[1] = tokens[0]
    tokens[1, LONG - window - 1] = (tokens[0, 0] + 1) % NUM_TOKENS
    last = read(quantize_model(model, ()), tokens)[:, -1]
    assert torch.equal(last[0], last[1])
    tokens[1, LONG - window] = (tokens[0, 0] + 1) % NUM_TOKENS
    last = read(quantize_model(model, ()), tokens)[:, -1]
    assert not torch.equal(last[0], last[1])


@pytest.mark.parametrize("family", ["hybrid", "attentive"])
@torch.no_grad()
def test_before_it_learns_a_network_with_attention_says_what_its_layers_do(family: str) -> None:
    """Otherwise it first has to learn what a stacked LSTM knows from the start."""
    model = make_network(family, NUM_TOKENS).eval()
    tokens = draw_tokens(4, 40)
    own, found = StackedLstm.read(model, tokens, None)[0], model.read(tokens, None)[0]
    assert float(torch.cosine_similarity(own, found, dim=2).mean()) > 0.7  # 0 of random weights


@torch.no_grad()
def test_the_attentive_network_looks_at_what_was_asked_and_not_at_its_reply() -> None:
    model = make_network("attentive", NUM_TOKENS, pauses=(REPLY,), resumes=(ASK,))
    state = quantize_model(model, ()).initial_state(1)
    served = quantize_model(model, ())
    counts = []
    for token in [ASK, 9, 9, REPLY, 9, 9, ASK, 9]:
        _, state = served.step(state, torch.tensor([token]))
        counts.append(int(state[0, -2]))  # positions that were written
    assert counts == [1, 2, 3, 3, 3, 3, 4, 5]
