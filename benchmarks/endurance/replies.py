"""Questions, and what must be answered, wherever the answer comes from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from lstmserve_client import (
    CacheOutcome,
    Client,
    Completion,
    GenerateOptions,
    Reply,
    Started,
    Timings,
)

NO_TIME = Timings(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Question:
    """A prompt, how it is to be answered, and the only right reply."""

    prompt: str
    options: GenerateOptions
    expected: Reply


def learn(target: str, asks: Iterable[tuple[str, GenerateOptions]]) -> Sequence[Question]:
    """Ask a server to which nothing happens, one after the other."""
    with Client(target) as client:
        return [
            Question(prompt, options, bits_of(client.reply(prompt, **options)))
            for prompt, options in asks
        ]


def bits_of(reply: Reply) -> Reply:
    """A reply without what may differ: its times, its name, and what the cache did."""
    return replace(reply, started=_started(reply.started), completion=_completion(reply.completion))


def _started(started: Started) -> Started:
    return replace(started, cache=CacheOutcome.UNKNOWN, request_id="")


def _completion(completion: Completion) -> Completion:
    usage = replace(completion.usage, cached_prompt_tokens=0)
    return replace(completion, usage=usage, timings=NO_TIME, cache=CacheOutcome.UNKNOWN)
