"""What is asked for, and which replies may answer it."""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum

from lstmserve_server.cache.entry_key import EntryKey, Owner
from lstmserve_server.engine.constraints.form import Form
from lstmserve_server.engine.request import Claim, GenerationRequest
from lstmserve_server.replies.answering import NOT_UNDERSTOOD, Understood
from lstmserve_server.replies.keys import digest_question, is_greedy, reply_key, variant_seed

SEED_BITS = 64


class CacheMode(Enum):
    """How one request may use the cache."""

    DEFAULT = "default"
    BYPASS = "bypass"  # neither read nor write
    REFRESH = "refresh"  # do not read, but store
    ONLY_IF_CACHED = "only_if_cached"  # read, and nothing else


@dataclass(frozen=True, slots=True)
class ReplyRequest:
    """One request to one model version."""

    generation: GenerationRequest
    claim: Claim
    scope: str = ""  # what is kept is shared within a scope only
    tags: tuple[str, ...] = ()  # and by requests with the same tags, each once and in order
    mode: CacheMode = CacheMode.DEFAULT
    is_seeded: bool = True  # else its seed may be chosen
    is_streamed: bool = True  # else a reply that is there may come in one piece
    understood: Understood = NOT_UNDERSTOOD
    form: Form | None = None  # that the digest in ``generation`` is of
    form_seconds: float = 0.0  # that building it took

    @property
    def is_decided(self) -> bool:
        """Whether only one reply can answer."""
        return self.is_seeded or is_greedy(self.generation.sampling)

    def with_own_seed(self) -> GenerationRequest:
        """Return what to generate with its own seed, or a fresh one that nobody else has."""
        if self.is_decided:
            return self.generation
        return _with_seed(self.generation, secrets.randbits(SEED_BITS))

    def samples(self, count: int) -> list[ReplyRequest]:
        """Return the requests for so many replies, with log-probabilities to rank them by.

        Each has the next seed after the one before it. In the version's own words there is one.
        """
        if count == 1 or self.understood.texts:
            return [self]
        first = self.with_own_seed()
        return [
            replace(self, generation=_sample(first, number), is_seeded=True)
            for number in range(count)
        ]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One reply that may answer a request."""

    generation: GenerationRequest  # with the seed in force
    key: EntryKey
    counted: bytes  # what its frequency is counted by
    form: Form | None = None  # that it keeps


def find_candidates(asked: ReplyRequest, owner: Owner, variants: int) -> Iterator[Candidate]:
    """Yield the replies that may answer, in the order to try them.

    It is one reply, but for a sampled request without a seed: that has several seeds, in
    random order, which are counted together, since its popularity is that of all of them.
    """
    generation = asked.generation
    question = digest_question(owner, generation)
    if asked.is_decided:
        key = reply_key(owner, question, generation.sampling)
        yield Candidate(generation, key, key.digest, asked.form)
        return
    for variant in random.sample(range(variants), variants):
        seeded = _with_seed(generation, variant_seed(question, variant))
        key = reply_key(owner, question, seeded.sampling)
        yield Candidate(seeded, key, question, asked.form)


def _sample(first: GenerationRequest, number: int) -> GenerationRequest:
    sampling = first.sampling
    seed = (sampling.seed + number) % (1 << SEED_BITS)
    return replace(
        first, sampling=replace(sampling, seed=seed, num_logprobs=sampling.num_logprobs or 0)
    )


def _with_seed(request: GenerationRequest, seed: int) -> GenerationRequest:
    return replace(request, sampling=replace(request.sampling, seed=seed))
