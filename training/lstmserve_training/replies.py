"""What a stepper answers: the intents it names and the variety of what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lstmserve_training.recipe.sections import SamplingSection
    from lstmserve_training.stepper import Stepper

ROWS = 64
NEVER = -10_000.0


@torch.no_grad()
def next_logits(stepper: Stepper, prompts: Sequence[Sequence[int]]) -> Tensor:
    """Logits of the token after each prompt, [prompts, tokens]."""
    order = _by_length(prompts)
    logits = [_read(stepper, [prompts[at] for at in rows])[0] for rows in _groups(order)]
    places = torch.empty(len(order), dtype=torch.int64)
    places[order] = torch.arange(len(order))
    return torch.cat(logits)[places]


def accuracy(logits: Tensor, right: Sequence[int], candidates: Sequence[int] | None) -> float:
    """Share of rows whose most likely token, among ``candidates`` or all, is the right one."""
    if candidates is None:
        chosen = logits.argmax(1)
    else:
        chosen = torch.tensor(candidates)[logits[:, list(candidates)].argmax(1)]
    return float((chosen == torch.tensor(right)).double().mean())


@torch.no_grad()
def sample_replies(
    stepper: Stepper,
    prompts: Sequence[Sequence[int]],
    end_id: int,
    max_tokens: int,
    seed: int,
    *,
    adjust: Callable[[Tensor], Tensor] = lambda logits: logits,
) -> list[list[int]]:
    """A reply to each prompt, without its end token; at temperature 1, as ``adjust`` changes it.

    Random numbers belong to a prompt's place in the list, not to its place in a batch.
    """
    generator = torch.Generator().manual_seed(seed)
    uniform = torch.rand(len(prompts), max_tokens, generator=generator, dtype=torch.float64)
    replies: dict[int, list[int]] = {}
    for rows in _groups(_by_length(prompts)):
        tokens = _continue(stepper, [prompts[at] for at in rows], uniform[rows], end_id, adjust)
        replies.update(zip(rows, (_until(row, end_id) for row in tokens.tolist()), strict=True))
    return [replies[at] for at in range(len(prompts))]


def draw(logits: Tensor, uniform: Tensor) -> Tensor:
    """The tokens that uniform numbers [rows] in [0, 1) pick from logits [rows, tokens]."""
    weights = (logits - logits.amax(1, keepdim=True)).double().exp().cumsum(1)
    picked = torch.searchsorted(weights, (uniform * weights[:, -1])[:, None], right=True)
    return picked.squeeze(1).clamp(max=logits.shape[1] - 1)


def at_temperature(logits: Tensor, sampling: SamplingSection) -> Tensor:
    """Logits [rows, tokens] as a temperature above 0 and the filters leave them."""
    logits = logits.float() / sampling.temperature
    probabilities = logits.softmax(1)
    kept = probabilities >= sampling.min_p * probabilities.amax(1, keepdim=True)
    if sampling.top_k:
        kept &= logits >= logits.topk(min(sampling.top_k, logits.shape[1])).values[:, -1:]
    ranked, order = probabilities.sort(descending=True)
    outside = (ranked.cumsum(1) - ranked) >= sampling.top_p
    kept &= ~torch.zeros_like(kept).scatter_(1, order, outside)
    return logits.masked_fill(~kept, NEVER)


def distinct(replies: Sequence[str], n: int) -> float:
    """Distinct-n (Li et al., 2016): distinct n-grams over all n-grams of all the replies.

    Words are lower-cased and split at white space; no n-gram crosses two replies.
    """
    grams = [gram for reply in replies for gram in _grams(reply.lower().split(), n)]
    return len(set(grams)) / len(grams) if grams else 0.0


def _grams(words: list[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(words[at : at + n]) for at in range(len(words) - n + 1)]


def _continue(
    stepper: Stepper,
    prompts: Sequence[Sequence[int]],
    uniform: Tensor,
    end_id: int,
    adjust: Callable[[Tensor], Tensor],
) -> Tensor:
    """Tokens after the prompts, [rows, at most uniform.shape[1]]."""
    logits, state = _read(stepper, prompts)
    has_ended = torch.zeros(len(prompts), dtype=torch.bool)
    chosen = []
    for numbers in uniform.unbind(1):
        tokens = draw(adjust(logits), numbers)
        chosen.append(tokens)
        has_ended |= tokens == end_id
        if has_ended.all():
            break
        logits, state = stepper.step(state, tokens)
    return torch.stack(chosen, dim=1)


def _read(stepper: Stepper, prompts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Logits and state after the last token of each prompt."""
    lengths = torch.tensor([len(prompt) for prompt in prompts])
    token_ids = torch.nn.utils.rnn.pad_sequence(
        [torch.tensor(prompt) for prompt in prompts], batch_first=True
    )
    logits, state = stepper.step(stepper.initial_state(len(prompts)), token_ids[:, 0])
    for position in range(1, token_ids.shape[1]):
        is_reading = (position < lengths)[:, None]
        # a step may work in place, and who has read all keeps the state from before it
        next_ones, after = stepper.step(state.clone(), token_ids[:, position])
        logits = torch.where(is_reading, next_ones, logits)
        state = torch.where(is_reading, after, state)
    return logits, state


def _by_length(prompts: Sequence[Sequence[int]]) -> list[int]:
    return sorted(range(len(prompts)), key=lambda at: len(prompts[at]))


def _groups(order: list[int]) -> list[list[int]]:
    return [order[at : at + ROWS] for at in range(0, len(order), ROWS)]


def _until(token_ids: list[int], end_id: int) -> list[int]:
    return token_ids[: token_ids.index(end_id)] if end_id in token_ids else token_ids
