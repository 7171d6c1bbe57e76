"""Judges which label a reply belongs to: naive Bayes over the words of replies that are known.

It is trained on the vetted replies alone, so it is a good judge of replies made of their sentences,
and a poor one of replies in other words.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise

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


def _features(reply: str) -> Iterator[str]:
    words = WORD.findall(reply.lower())
    yield from words
    yield from (f"{one} {other}" for one, other in pairwise(words))
