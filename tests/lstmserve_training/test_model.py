"""Each regularization does what it says, while the model trains and only then."""

from __future__ import annotations

import torch

from lstmserve_training.model import LockedDropout, ModelConfig
from lstmserve_training.stacked import StackedLstm


def make(**keys: float) -> StackedLstm:
    torch.manual_seed(1)
    return StackedLstm(ModelConfig(64, 64, 2, **{"dropout": 0.0, **keys}))  # type: ignore[arg-type]


def read(model: StackedLstm, seed: int) -> torch.Tensor:
    torch.manual_seed(seed)
    tokens = torch.arange(24).view(2, 12)
    with torch.no_grad():
        logits: torch.Tensor = model(tokens, model.zero_state(2))[0]
    return logits


def test_locked_dropout_drops_the_same_values_at_all_steps() -> None:
    torch.manual_seed(1)
    dropout = LockedDropout(0.25).train()
    found = dropout(torch.ones(4, 9, 1000))
    assert torch.equal(found, found[:, :1].expand_as(found))
    assert not torch.equal(found[0], found[1])
    assert 0.2 < float((found == 0).double().mean()) < 0.3
    torch.testing.assert_close(found[found > 0], torch.full_like(found[found > 0], 4 / 3))
    assert torch.equal(dropout.eval()(torch.ones(1, 2, 3)), torch.ones(1, 2, 3))


def test_recurrent_weights_are_dropped_while_it_trains_only() -> None:
    model, plain = make(weight_drop=0.5), make()
    assert not torch.equal(read(model.train(), 1), read(model, 2))
    assert torch.equal(read(model, 1), read(model, 1))
    assert torch.equal(read(model.eval(), 1), read(plain.eval(), 2))
    assert torch.equal(read(make(weight_drop=0.0).train(), 1), read(plain.train(), 1))


def test_dropping_nearly_no_weight_is_the_plain_lstm() -> None:
    """The path by which weights are dropped computes what nn.LSTM does."""
    model = make(weight_drop=1e-12)
    torch.testing.assert_close(read(model.train(), 1), read(make().train(), 1))


def test_the_first_step_of_a_document_knows_no_recurrent_weight() -> None:
    model, plain = make(weight_drop=0.5), make()
    first, expected = read(model.train(), 1)[:, 0], read(plain.train(), 1)[:, 0]
    torch.testing.assert_close(first, expected)


def test_a_tied_output_layer_is_the_embedding_and_one_of_its_own_is_not() -> None:
    tied, own = (StackedLstm(ModelConfig(64, 64, embedding=width)) for width in (0, 64))
    assert tied.output_weights is tied.embedding.weight
    assert own.output_weights is not own.embedding.weight
    counts = [sum(weight.numel() for weight in model.parameters()) for model in (tied, own)]
    assert counts[1] - counts[0] == 64 * 64
