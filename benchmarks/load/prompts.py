"""Real customer questions, and how often each is asked."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from importlib.resources import files
from itertools import accumulate

Chooser = Callable[[random.Random], str]


def load_prompts() -> list[str]:
    """The questions written for this project, in an order that mixes their intents."""
    recipe = files("lstmserve_training").joinpath("recipes", "support-en")
    lines = recipe.joinpath("phrasings.jsonl").read_text("utf-8").splitlines()
    prompts = [json.loads(line)["text"] for line in lines]
    random.Random(0).shuffle(prompts)
    return prompts


def parse_popularity(text: str, prompts: Sequence[str]) -> Chooser:
    """``uniform``, or ``zipf:S``: the k-th prompt is asked in proportion to 1 / k**S."""
    kind, _, exponent = text.partition(":")
    if kind == "uniform" and not exponent:
        return lambda source: source.choice(prompts)
    if kind != "zipf":
        raise ValueError(f"popularity is uniform or zipf:EXPONENT, not {text!r}")
    bounds = _zipf_bounds(len(prompts), float(exponent))
    return lambda source: source.choices(prompts, cum_weights=bounds)[0]


def draw_ranks(ranks: int, exponent: float, requests: int, seed: int) -> list[int]:
    """Return so many ranks, each in proportion to 1 / (rank + 1)**exponent."""
    bounds = _zipf_bounds(ranks, exponent)
    return random.Random(seed).choices(range(ranks), cum_weights=bounds, k=requests)


def _zipf_bounds(ranks: int, exponent: float) -> list[float]:
    return [*accumulate((rank + 1) ** -exponent for rank in range(ranks))]
