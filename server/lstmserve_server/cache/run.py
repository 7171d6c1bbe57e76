"""A request with its seed, and the key of its reply."""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace

from lstmserve_server.cache.ask import Ask
from lstmserve_server.cache.entry_key import EntryKey
from lstmserve_server.cache.question import digest_question, is_greedy, reply_key, variant_seed
from lstmserve_server.engine.request import GenerationRequest

SEED_BITS = 64


@dataclass(eq=False, slots=True)
class Run:
    """One reply that is asked for, and what is learned of it on the way."""

    ask: Ask
    request: GenerationRequest  # with the seed in force
    key: EntryKey
    counted: bytes  # what its frequency is counted by
    num_asked_far: int = 0  # by all servers, as Redis counts
    is_stored: bool = False
    is_redis_silent: bool = False  # it was asked, and did not answer


def settle_runs(ask: Ask, variants: int) -> Iterator[Run]:
    """The replies that may answer, in the order to try them.

    It is one reply, but for a sampled request without a seed: that has several seeds, in
    random order, which are counted together, since its popularity is that of all of them.
    """
    question = digest_question(ask.owner, ask.request)
    if ask.is_seeded or is_greedy(ask.request.sampling):
        key = reply_key(ask.owner, question, ask.request.sampling)
        yield Run(ask, ask.request, key, key.digest)
        return
    for variant in random.sample(range(variants), variants):
        request = with_seed(ask.request, variant_seed(question, variant))
        yield Run(ask, request, reply_key(ask.owner, question, request.sampling), question)


def settle_alone(ask: Ask) -> GenerationRequest:
    """The request with its own seed, or a fresh one that nobody else has."""
    if ask.is_seeded or is_greedy(ask.request.sampling):
        return ask.request
    return with_seed(ask.request, secrets.randbits(SEED_BITS))


def with_seed(request: GenerationRequest, seed: int) -> GenerationRequest:
    return replace(request, sampling=replace(request.sampling, seed=seed))
