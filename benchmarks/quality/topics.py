"""Judges which label a reply belongs to: naive Bayes over the words of replies that are known.

It is trained on the vetted replies alone, so it can be wrong about a reply in other words; how
often, ``check`` tells by leaving out one reply at a time.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

WORD = re.compile(r"[a-z']+")
SMOOTHING = 0.1


class TopicJudge:
    """Names the label of a reply."""

    def __init__(self, replies: Iterable[tuple[str, str]]) -> None:
        """Pairs of a reply and its label."""
        self._counts: dict[str, Counter[str]] = defaultdict(Counter)
        for reply, label in replies:
            self._counts[label].update(set(_features(reply)))
        self._known = len({word for counts in self._counts.values() for word in counts})
        self._totals = {label: sum(counts.values()) for label, counts in self._counts.items()}

    def judge(self, reply: str) -> list[str]:
        """All labels, the most likely one first."""
        words = set(_features(reply))

        def score(label: str) -> float:
            counts = self._counts[label]
            total = self._totals[label] + SMOOTHING * self._known
            return sum(math.log((counts[word] + SMOOTHING) / total) for word in words)

        return sorted(self._counts, key=score, reverse=True)


def check(replies: Sequence[tuple[str, str]], parts: int = 10) -> float:
    """The share of replies whose label is named by a judge that has not seen them."""
    hits = 0
    for part in range(parts):
        judge = TopicJudge(pair for at, pair in enumerate(replies) if at % parts != part)
        hits += sum(judge.judge(reply)[0] == label for reply, label in replies[part::parts])
    return hits / len(replies)


def _features(reply: str) -> Iterator[str]:
    words = WORD.findall(reply.lower())
    yield from words
    yield from (f"{one} {other}" for one, other in zip(words, words[1:], strict=False))
