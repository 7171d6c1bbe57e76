"""A model in training reads some of its own words."""

from __future__ import annotations

import torch

from benchmarks.families.versions import make_network
from lstmserve_training.scheduled_sampling import put_own_words

NUM_TOKENS = 64
SPARED = torch.tensor([0, 1])


def put(share: float, weights: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
    model = make_network("stacked", NUM_TOKENS).train()
    torch.manual_seed(4)
    found = put_own_words(model, inputs, weights, model.zero_state(len(inputs)), share, SPARED)
    assert model.training
    return found


def test_only_what_it_learns_to_write_is_replaced() -> None:
    inputs = torch.randint(NUM_TOKENS, (40, 30))
    weights = torch.zeros(40, 30)
    weights[:, 10:20] = 1.0  # of targets: the inputs one further
    found = put(1.0, weights, inputs)
    is_other = found != inputs
    assert not is_other[:, :11].any()
    assert not is_other[:, 21:].any()
    may_change = ~torch.isin(inputs[:, 11:21], SPARED)
    assert is_other[:, 11:21][may_change].double().mean() > 0.8
    assert not is_other[torch.isin(inputs, SPARED)].any()
    assert not torch.isin(found[is_other], SPARED).any()


def test_words_are_drawn_as_the_model_would_write_them() -> None:
    model = make_network("stacked", NUM_TOKENS)
    with torch.no_grad():
        model.output_bias[7] = 1000.0  # nothing else is ever written
    inputs = torch.full((4, 20), 9)
    weights = torch.ones(4, 20)
    found = put_own_words(model, inputs, weights, model.zero_state(4), 1.0, SPARED)
    assert (found[:, 0] == 9).all()
    assert (found[:, 1:] == 7).all()


def test_a_share_of_them_is_replaced() -> None:
    inputs, weights = torch.randint(2, NUM_TOKENS, (50, 40)), torch.ones(50, 40)
    some, more = (float((put(x, weights, inputs) != inputs).double().mean()) for x in (0.2, 0.6))
    assert 0.1 < some < 0.25
    assert 0.4 < more < 0.7
    assert put(0.0, weights, inputs) is inputs
