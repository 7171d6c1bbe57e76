"""Perplexity of any stepper on held-out documents, each read from a zero state."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lstmserve_training.documents import Document, collate
from lstmserve_training.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lstmserve_training.stepper import Stepper

EVALUATION_ROWS = 64


def perplexity(stepper: Stepper, documents: Sequence[Document]) -> float:
    """Perplexity over every target of weight above 0 (turn markers are given)."""
    return perplexity_of(target_nats(stepper, documents), map(counted_targets, documents))


def perplexity_of(nats: Iterable[Tensor], counted: Iterable[Tensor]) -> float:
    """The exponential of the mean of the counted nats; raises DataError when none counts."""
    picked = torch.cat([row[mask] for row, mask in zip(nats, counted, strict=True)])
    if not len(picked):
        raise DataError("the held-out documents have no target that counts")
    return math.exp(float(picked.double().mean()))


def target_nats(stepper: Stepper, documents: Sequence[Document]) -> list[Tensor]:
    """The negative log-likelihood of each document's tokens after its first, [length - 1]."""
    return [row[:, 0] for row in target_scores(stepper, documents)]


@torch.no_grad()
def target_scores(stepper: Stepper, documents: Sequence[Document]) -> list[Tensor]:
    """Negative log-likelihood and rank of each document's tokens after its first, [length - 1, 2].

    The rank is how many tokens are more likely; of equally likely ones the lower id counts as more.
    """
    order = sorted(range(len(documents)), key=lambda at: len(documents[at].token_ids))
    scores: dict[int, Tensor] = {}
    for start in range(0, len(order), EVALUATION_ROWS):
        places = order[start : start + EVALUATION_ROWS]
        rows = _batch_scores(stepper, collate([documents[at] for at in places]).token_ids)
        for at, row in zip(places, rows, strict=True):
            scores[at] = row[: len(documents[at].token_ids) - 1]
    return [scores[at] for at in range(len(documents))]


def counted_targets(document: Document) -> Tensor:
    """Which tokens after the first are predicted, bool [length - 1]."""
    return torch.tensor(document.weights[1:]) > 0


def reply_targets(document: Document, reply_id: int, role_ids: frozenset[int]) -> Tensor:
    """Which of the predicted tokens stand in turns of the replying role, bool [length - 1]."""
    inside, mask = False, []
    for token_id in document.token_ids:
        mask.append(inside)
        if token_id in role_ids:
            inside = token_id == reply_id
    return torch.tensor(mask[1:], dtype=torch.bool) & counted_targets(document)


def _batch_scores(stepper: Stepper, token_ids: Tensor) -> Tensor:
    """Token ids [rows, length] -> nats and ranks on the CPU [rows, length - 1, 2]."""
    state = stepper.initial_state(token_ids.shape[0])
    columns = token_ids.to(state.device).unbind(1)
    scores = []
    for tokens, targets in itertools.pairwise(columns):
        logits, state = stepper.step(state, tokens)
        nats = nn.functional.cross_entropy(logits, targets, reduction="none")
        scores.append(torch.stack([nats, ranks(logits, targets).to(nats.dtype)], dim=1))
    return torch.stack(scores, dim=1).cpu()


def ranks(logits: Tensor, targets: Tensor) -> Tensor:
    """How many tokens of each row come before its target, the most likely one first."""
    own = logits.gather(1, targets[:, None])
    is_lower_id = torch.arange(logits.shape[1], device=logits.device) < targets[:, None]
    return ((logits > own) | ((logits == own) & is_lower_id)).sum(1)
