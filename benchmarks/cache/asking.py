"""The requests of this benchmark: greedy, so that a prompt has one reply."""

from __future__ import annotations

import random
from functools import cache
from itertools import count

from benchmarks.load.dialect import to_request
from benchmarks.load.prompts import load_prompts
from benchmarks.load.workload import GREEDY, Ask, CacheMode

FRESH_WORDS = 6
LEAST_WORDS, MOST_WORDS = 4, 12

_numbers = count()


def encode(prompt: str, tokens: int, cache_mode: CacheMode = CacheMode.DEFAULT) -> bytes:
    """A request for so many tokens, for both methods: their messages have the same fields."""
    ask = Ask(prompt, GREEDY, None, min_tokens=tokens, max_tokens=tokens, cache_mode=cache_mode)
    return to_request(ask).SerializeToString()


def make_fresh_prompt() -> str:
    """A prompt that no server of this run has seen: of about 16 tokens."""
    source = random.Random(next(_numbers))
    return f"where is my {' '.join(source.choices(_words(), k=FRESH_WORDS))}, please?"


def make_prompts(number: int, seed: int) -> list[str]:
    """So many different texts of the words that customers use."""
    source = random.Random(seed)
    found: dict[str, None] = {}
    while len(found) < number:
        words = source.choices(_words(), k=source.randint(LEAST_WORDS, MOST_WORDS))
        found[" ".join(words)] = None
    return [*found]


@cache
def _words() -> list[str]:
    """Without numbers: to the tokenizer of a model all of them may be the same."""
    words = {word.lower() for prompt in load_prompts() for word in prompt.split()}
    return sorted(word for word in words if word.isalpha())
