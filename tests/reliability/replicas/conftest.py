"""Two replicas, and what either must answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from benchmarks.endurance.replies import Question, learn
from benchmarks.testbed.server import Replica, ServerProcess, replicas
from lstmserve_client import CacheMode, GenerateOptions, SamplingParams, StoppingCriteria

PROMPTS = ("where is my parcel", "你好", "thanks 👍", "i love order 7")
NUM_QUESTIONS = 12
# so long that whatever happens, happens in the middle of most of them
TOKENS = StoppingCriteria(min_tokens=512, max_tokens=512)


@pytest.fixture(scope="session")
def questions(server: ServerProcess) -> Sequence[Question]:
    """What an undisturbed server answers."""
    return learn(
        server.target,
        (
            (PROMPTS[number % len(PROMPTS)], long_reply(seed=number))
            for number in range(NUM_QUESTIONS)
        ),
    )


@pytest.fixture
def pair(tiny_store: Path) -> Iterator[list[Replica]]:
    """Two servers of the same store."""
    with replicas([tiny_store] * 2) as servers:
        yield servers


def long_reply(seed: int) -> GenerateOptions:
    """Generated anew each time it is asked for."""
    return {
        "sampling": SamplingParams(seed=seed, temperature=1.0, logprobs=seed % 3),
        "stopping": TOKENS,
        "cache_mode": CacheMode.BYPASS,
    }
