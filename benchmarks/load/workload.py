"""What is asked: an endless, repeatable sequence of requests per stream."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from benchmarks.load.prompts import load_prompts, parse_popularity

MAX_SEED = 2**63


class Lengths(StrEnum):
    """How long the replies are."""

    EQUAL = "equal"  # every reply has max_tokens
    MIXED = "mixed"  # each has its own length, between an eighth of max_tokens and all of it
    NATURAL = "natural"  # the model ends its replies, at the latest after max_tokens


class Sampling(StrEnum):
    """How tokens are chosen."""

    SAMPLED = "sampled"  # with the temperature, top_p and top_k of the command line
    GREEDY = "greedy"
    MIXED = "mixed"  # each request takes one of MIXED_SAMPLING


class CacheMode(StrEnum):
    """The names of the wire, in lower case."""

    DEFAULT = "default"
    BYPASS = "bypass"
    REFRESH = "refresh"


@dataclass(frozen=True)
class SamplingOptions:
    """Absent ones follow the model's defaults."""

    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None


GREEDY = SamplingOptions(temperature=0.0)
MIXED_SAMPLING = (
    GREEDY,
    SamplingOptions(temperature=0.7),
    SamplingOptions(temperature=1.0),
    SamplingOptions(temperature=1.0, top_k=40),
    SamplingOptions(temperature=1.0, top_p=0.9),
    SamplingOptions(temperature=0.9, min_p=0.05),
)


@dataclass(frozen=True)
class Ask:
    """One request, whatever the protocol."""

    prompt: str
    sampling: SamplingOptions
    seed: int | None
    min_tokens: int
    max_tokens: int
    cache_mode: CacheMode = CacheMode.DEFAULT


@dataclass(frozen=True)
class Workload:
    """Everything that decides the requests, so that a run can be repeated."""

    seed: int = 0
    popularity: str = "uniform"
    sampling: Sampling = Sampling.SAMPLED
    options: SamplingOptions = SamplingOptions(temperature=1.0)
    lengths: Lengths = Lengths.EQUAL
    max_tokens: int = 64
    cache_mode: CacheMode = CacheMode.DEFAULT
    request_seeds: bool = True

    def asks(self, stream: int) -> Iterator[Ask]:
        """The requests of one stream, without end."""
        source = random.Random(f"{self.seed}/{stream}")
        choose = parse_popularity(self.popularity, load_prompts())
        while True:
            prompt, (min_tokens, max_tokens) = choose(source), self._draw_length(source)
            sampling, seed = self._draw_sampling(source), source.randrange(MAX_SEED)
            seed_sent = seed if self.request_seeds else None
            yield Ask(prompt, sampling, seed_sent, min_tokens, max_tokens, self.cache_mode)

    def _draw_sampling(self, source: random.Random) -> SamplingOptions:
        if self.sampling is Sampling.MIXED:
            return source.choice(MIXED_SAMPLING)
        return GREEDY if self.sampling is Sampling.GREEDY else self.options

    def _draw_length(self, source: random.Random) -> tuple[int, int]:
        if self.lengths is Lengths.NATURAL:
            return 0, self.max_tokens
        if self.lengths is Lengths.EQUAL:
            return self.max_tokens, self.max_tokens
        length = source.randint(max(1, self.max_tokens // 8), self.max_tokens)
        return length, length
