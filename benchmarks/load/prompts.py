"""Real customer questions, and how often each is asked."""

from __future__ import annotations

import json
import random
from bisect import bisect
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
    bounds = [*accumulate(rank ** -float(exponent) for rank in range(1, len(prompts) + 1))]
    return lambda source: prompts[bisect(bounds, source.random() * bounds[-1])]
