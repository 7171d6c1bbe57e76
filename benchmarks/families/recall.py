"""What a network can still say of what it read: a name from far back, or one of many.

- Task `distance`: a text is random words, among which a mark and a name stand somewhere; after the
  last word a token asks, and the name must follow. Counted by the number of words in between.
- Task `facts`: a text is pairs of a key and a name; a token and a key ask, and the name that the
  key had must follow. Counted by the number of pairs.

Guessing has one in ``NUM_NAMES``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from lstmserve_training.families import make_model, quantize_model
from lstmserve_training.model import LanguageModel, ModelConfig
from lstmserve_training.stepper import Served

MARK, ASK, FIRST_NAME = 0, 1, 2
NUM_NAMES = 32
FIRST_KEY = FIRST_NAME + NUM_NAMES
NUM_KEYS = 32
NUM_TOKENS = 128
FIRST_WORD = FIRST_KEY + NUM_KEYS
ROWS = 64
LEARNING_RATE = 2e-3
WARM_UP_STEPS = 50
Texts = tuple[Tensor, Tensor]  # int64 [rows, length], and the name that must follow, [rows]
Task = Callable[[Sequence[int], torch.Generator], Texts]
# of attention the window is longer than any text that is shown, and LONG_WINDOW when it is served
NETWORKS = {
    "stacked": ModelConfig(NUM_TOKENS, 128),
    "projected": ModelConfig(NUM_TOKENS, 192, family="projected", projection=64),
    "hybrid": ModelConfig(NUM_TOKENS, 128, 1, family="hybrid", attention=64, heads=2, window=192),
    "attentive": ModelConfig(
        NUM_TOKENS, 128, 1, family="attentive", attention=64, heads=2, window=192, pauses=(ASK,)
    ),
    "transformer": ModelConfig(
        NUM_TOKENS, 128, 2, family="transformer", attention=64, heads=2, window=192
    ),
}


def draw_distances(between: Sequence[int], generator: torch.Generator) -> Texts:
    """Return texts that have so many words between their name and the question."""
    rows, length = len(between), max(between) + 4
    texts = torch.randint(FIRST_WORD, NUM_TOKENS, (rows, length), generator=generator)
    names = torch.randint(NUM_NAMES, (rows,), generator=generator) + FIRST_NAME
    place, row = length - 2 - torch.tensor(between), torch.arange(rows)
    texts[row, place - 1], texts[row, place], texts[:, -1] = MARK, names, ASK
    return texts, names


def draw_facts(counts: Sequence[int], generator: torch.Generator) -> Texts:
    """Return texts that have so many pairs of a key and a name, behind words where fewer."""
    rows, most = len(counts), max(counts)
    keys = torch.rand(rows, NUM_KEYS, generator=generator).argsort(dim=1)[:, :most] + FIRST_KEY
    names = torch.randint(NUM_NAMES, (rows, most), generator=generator) + FIRST_NAME
    pairs = torch.stack([keys, names], dim=2).flatten(1)
    words = torch.randint(FIRST_WORD, NUM_TOKENS, pairs.shape, generator=generator)
    is_word = torch.arange(2 * most) < 2 * (most - torch.tensor(counts)).unsqueeze(1)
    pairs = torch.where(is_word, words, pairs)
    back = (torch.rand(rows, generator=generator) * torch.tensor(counts)).long()
    row, asked = torch.arange(rows), most - 1 - back
    question = torch.stack([torch.full((rows,), ASK), keys[row, asked]], dim=1)
    return torch.cat([pairs, question], dim=1), names[row, asked]


TASKS: dict[str, Task] = {"distance": draw_distances, "facts": draw_facts}
LONGEST_SHOWN = {"distance": 128, "facts": NUM_KEYS}
LONGEST_ASKED = {"distance": 1000, "facts": NUM_KEYS}
LONG_WINDOW = 1024  # sees the name in all of them


def train(
    config: ModelConfig, task: Task, longest: int, steps: int, say: Callable[[str], None]
) -> LanguageModel:
    """Return a network that was shown texts of all sizes up to the longest."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    model = make_model(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
    for step in range(steps):
        # as many small sizes as large ones, and at first no large ones at all
        reach = 1 + (longest - 1) * min(1.0, 2 * (step + 1) / steps)
        drawn = torch.rand(ROWS, generator=generator) * math.log(reach)
        texts, names = task(drawn.exp().round().int().tolist(), generator)
        loss = nn.functional.cross_entropy(model(texts, None)[0][:, -1], names)
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
def measure(served: Served, task: Task, sizes: Sequence[int], rows: int) -> dict[int, float]:
    """Return the share of right names of a served module, by the size of a text."""
    generator = torch.Generator().manual_seed(1)
    return {size: _share(served, task([size] * rows, generator)) for size in sizes}


def _share(served: Served, drawn: Texts) -> float:
    """Return the share of texts whose name is found, a batch at a time: states are large."""
    num_right = 0
    for begin in range(0, len(drawn[0]), ROWS):
        texts, names = (part[begin : begin + ROWS] for part in drawn)
        lengths = torch.full((len(texts),), texts.shape[1] - 1)
        state = served.prefill(served.initial_state(len(texts)), texts[:, :-1], lengths)
        scores, _ = served.step(state, texts[:, -1])
        num_right += int((scores.argmax(dim=1) == names).sum())
    return num_right / len(drawn[0])


def recall(
    family: str, task: str, steps: int, rows: int, say: Callable[[str], None]
) -> dict[int, float]:
    """Train a network of a family for a task, and return the share of right names by size.

    It is shown sizes up to ``LONGEST_SHOWN``, and asked for those up to ``LONGEST_ASKED``.
    """
    model = train(NETWORKS[family], TASKS[task], LONGEST_SHOWN[task], steps, say)
    longest = LONGEST_ASKED[task]
    sizes = [*(1 << power for power in range((longest - 1).bit_length())), longest]
    return measure(quantize_model(_with_long_window(model), ()), TASKS[task], sizes, rows)


def _with_long_window(model: LanguageModel) -> LanguageModel:
    """Return the network that looks back further; its weights are the same."""
    if not model.config.window:
        return model
    longer = make_model(replace(model.config, window=LONG_WINDOW))
    longer.load_state_dict(model.state_dict())
    return longer.eval()
