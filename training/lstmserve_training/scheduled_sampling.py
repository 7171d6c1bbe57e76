"""Inputs that the model drew itself, so that it learns to go on from its own words.

While it trains a model is shown what should have been written; when it is served it reads what it
wrote (Bengio et al., 2015). The words of a segment are drawn side by side, from one pass over what
should have been written (Mihaylova and Martins, 2019).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from lstmserve_training.model import LanguageModel, State


@torch.no_grad()
def put_own_words(
    model: LanguageModel,
    inputs: Tensor,
    weights: Tensor,
    state: State,
    share: float,
    spared: Tensor,
) -> Tensor:
    """Return inputs, int64 [rows, steps], of which a share are what the model would have written.

    Only what it learns to write is replaced, where ``weights`` [rows, steps] of the targets are
    above 0: what was asked stays. Tokens in ``spared`` are neither replaced nor put in.
    """
    if not share:
        return inputs
    drawn = _draw(model, inputs, state)[:, :-1]
    shown = inputs[:, 1:]
    is_hit = torch.rand(shown.shape, device=shown.device) < share
    is_hit &= weights[:, :-1] > 0
    is_hit &= ~torch.isin(shown, spared) & ~torch.isin(drawn, spared)
    return torch.cat([inputs[:, :1], torch.where(is_hit, drawn, shown)], dim=1)


def _draw(model: LanguageModel, inputs: Tensor, state: State) -> Tensor:
    """Return a token that may follow each of the inputs, [rows, steps]."""
    model.eval()
    logits, _ = model(inputs, state)
    model.train()
    chances = logits.float().softmax(dim=-1).flatten(0, 1)
    return torch.multinomial(chances, 1).view_as(inputs)
