"""What a network can still say of a name that it read so many tokens ago.

A text is random words, among which a mark and a name stand somewhere; after the last word a token
asks, and the name must follow. The share of right names, by the number of words in between, is
what the state holds: guessing has one in ``NUM_NAMES``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from lstmserve_training.families import make_model, quantize_model
from lstmserve_training.model import ModelConfig, StackedLstm
from lstmserve_training.stepper import Served

MARK, ASK, FIRST_NAME = 0, 1, 2
NUM_NAMES = 32
NUM_TOKENS = 128
FIRST_WORD = FIRST_NAME + NUM_NAMES
ROWS = 64
LEARNING_RATE = 2e-3
WARM_UP_STEPS = 50
# of about the same number of weights
# the window of attention is longer than any text
NETWORKS = {
    "stacked": ModelConfig(NUM_TOKENS, 128),
    "projected": ModelConfig(NUM_TOKENS, 192, family="projected", projection=64),
    "hybrid": ModelConfig(NUM_TOKENS, 128, 1, family="hybrid", attention=64, heads=2, window=320),
    "attentive": ModelConfig(
        NUM_TOKENS, 128, 1, family="attentive", attention=64, heads=2, window=320, pauses=(ASK,)
    ),
}


def draw_texts(rows: int, between: Sequence[int], generator: torch.Generator) -> Tensor:
    """Return texts [rows, length], each with so many words between its name and the question."""
    length = max(between) + 4
    texts = torch.randint(FIRST_WORD, NUM_TOKENS, (rows, length), generator=generator)
    names = torch.randint(NUM_NAMES, (rows,), generator=generator) + FIRST_NAME
    place = length - 2 - torch.tensor(between)
    row = torch.arange(rows)
    texts[row, place - 1], texts[row, place], texts[:, -1] = MARK, names, ASK
    return texts


def name_of(texts: Tensor) -> Tensor:
    """Return the name in each text, [rows]."""
    place = (texts == MARK).int().argmax(dim=1) + 1
    return texts.gather(1, place.unsqueeze(1)).squeeze(1)


def train(config: ModelConfig, longest: int, steps: int, say: Callable[[str], None]) -> StackedLstm:
    """Return a network that was shown texts of any distance up to the longest."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    model = make_model(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
    for step in range(steps):
        # as many short distances as long ones, and at first no long ones at all
        reach = 1 + (longest - 1) * min(1.0, 2 * (step + 1) / steps)
        drawn = torch.rand(ROWS, generator=generator) * math.log(reach)
        texts = draw_texts(ROWS, drawn.exp().round().int().tolist(), generator)
        loss = nn.functional.cross_entropy(model(texts, None)[0][:, -1], name_of(texts))
        done = (step + 1) / steps
        rate = LEARNING_RATE * min(1.0, (step + 1) / WARM_UP_STEPS) * (1.02 - done)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if (step + 1) % max(1, steps // 4) == 0:
            say(f"{config.family}: step {step + 1} of {steps}, loss {float(loss.detach()):.3f}")
    return model.eval()


@torch.no_grad()
def measure(served: Served, distances: Sequence[int], rows: int) -> dict[int, float]:
    """Return the share of right names of a served module, by distance."""
    generator = torch.Generator().manual_seed(1)
    found = {}
    for distance in distances:
        texts = draw_texts(rows, [distance] * rows, generator)
        lengths = torch.full((rows,), texts.shape[1] - 1)
        state = served.prefill(served.initial_state(rows), texts[:, :-1], lengths)
        scores, _ = served.step(state, texts[:, -1])
        found[distance] = float((scores.argmax(dim=1) == name_of(texts)).float().mean())
    return found


def recall(
    family: str, longest: int, steps: int, rows: int, say: Callable[[str], None]
) -> dict[int, float]:
    """Train a network of a family and return the share of right names, by distance."""
    model = train(NETWORKS[family], longest, steps, say)
    distances = [2**power for power in range(int(math.log2(longest)) + 1)]
    return measure(quantize_model(model, ()), distances, rows)
