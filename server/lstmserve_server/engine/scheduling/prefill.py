"""Which prompts are prefilled next, and how much of each (chunked prefill)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lstmserve_server.engine.scheduling.sequence import Sequence


@dataclass(frozen=True, slots=True)
class PromptChunk:
    """A bounded part of a prompt to prefill next."""

    sequence: Sequence
    token_ids: tuple[int, ...]


def cut_chunks(prefilling: Iterable[Sequence], chunk: int, budget: int) -> list[PromptChunk]:
    """Return chunks of at most ``chunk`` tokens of each prompt and ``budget`` of all.

    Prompts are given the oldest first. The oldest always gets its chunk, so that it ends; then
    those with the least left, so that a short prompt never waits for a long one.
    """
    chunk = min(chunk, max(1, budget // 2))  # the oldest leaves something to others
    unread = [sequence for sequence in prefilling if sequence.num_to_prefill]
    chunks = []
    for sequence in (*unread[:1], *sorted(unread[1:], key=lambda other: other.num_to_prefill)):
        token_ids = sequence.next_to_prefill(min(chunk, budget))
        if token_ids:
            chunks.append(PromptChunk(sequence, token_ids))
        budget -= len(token_ids)
    return chunks
