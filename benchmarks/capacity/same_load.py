"""What a load of ``validate`` asks: of real replicas, and the same of simulated ones."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.capacity.traffic import Question, Request
from benchmarks.load.driver import arrivals
from benchmarks.load.prompts import load_prompts
from benchmarks.load.workload import CacheMode, Lengths, Workload

EXPONENT = 1.2
KEPT_TOKENS, MOST_TOKENS = 32, 64
CHARACTERS_PER_TOKEN = 3.5  # of the questions, about


def make_workload(seed: int, *, is_kept: bool) -> Workload:
    """Return replies that may be kept, or must all be generated."""
    if is_kept:
        popularity = f"zipf:{EXPONENT}"
        return Workload(seed, popularity, request_seeds=False, max_tokens=KEPT_TOKENS)
    return Workload(
        seed, max_tokens=MOST_TOKENS, lengths=Lengths.MIXED, cache_mode=CacheMode.BYPASS
    )


def draw_same(rate: float, seconds: float, workload: Workload, caller: str) -> Iterator[Request]:
    """Yield what an open loop of ``benchmarks.load`` asks, and when."""
    numbers = {prompt: number for number, prompt in enumerate(load_prompts())}
    variant = -1 if workload.cache_mode is CacheMode.BYPASS else 0
    moments = arrivals(rate, 0.0, seconds, f"{workload.seed}/0")
    for moment, ask in zip(moments, workload.asks(0), strict=False):
        read = max(1, round(len(ask.prompt) / CHARACTERS_PER_TOKEN))
        number, tokens = numbers[ask.prompt], ask.max_tokens
        yield moment, Question(number, variant, tokens, workload.max_tokens, read, caller)
