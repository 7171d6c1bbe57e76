"""How good the latest replies of one version were, by those that the engine measures.

Bounded, and O(1) per token. The event loop tells, the exporter's threads read: a lock.
"""

from __future__ import annotations

import math
import threading
from collections import Counter, deque
from collections.abc import Collection, Iterator, Sequence

WINDOW_TOKENS = 8192
# what a checkpoint's evaluation samples: Distinct-n falls with the number of replies
WINDOW_REPLIES = 400

Gram = tuple[str, ...]


class Distinct:
    """Distinct-n (Li et al., 2016) of a changing set of replies.

    Distinct n-grams over all n-grams of all the replies. Words are lower-cased and split at
    white space, and no n-gram crosses two replies: as a checkpoint's evaluation counts them.
    """

    def __init__(self, n: int) -> None:
        self._n = n
        self._counts: Counter[Gram] = Counter()
        self._total = 0

    @property
    def value(self) -> float:
        """NaN without an n-gram."""
        return len(self._counts) / self._total if self._total else math.nan

    def add(self, text: str) -> None:
        for gram in self._grams(text):
            self._counts[gram] += 1
            self._total += 1

    def remove(self, text: str) -> None:
        """Take out a text that was added."""
        for gram in self._grams(text):
            self._total -= 1
            self._counts[gram] -= 1
            if not self._counts[gram]:
                del self._counts[gram]

    def _grams(self, text: str) -> Iterator[Gram]:
        words = text.lower().split()
        return zip(*(words[start:] for start in range(self._n)), strict=False)


class QualityWindow:
    """The latest measured tokens and replies; every figure is NaN while there are none."""

    def __init__(self, max_tokens: int = WINDOW_TOKENS, max_replies: int = WINDOW_REPLIES) -> None:
        self._lock = threading.Lock()
        self._nats: deque[float] = deque(maxlen=max_tokens)
        self._replies: deque[tuple[str, bool]] = deque()  # text, and whether max_tokens ended it
        self._max_replies = max_replies
        self._distinct = {n: Distinct(n) for n in (1, 2)}

    def add_tokens(self, nats: Sequence[float]) -> None:
        """Further tokens, by their negative log-probabilities."""
        with self._lock:
            self._nats.extend(nats)

    def add_reply(self, text: str, *, is_cut: bool) -> None:
        """A whole reply; ``is_cut`` if max_tokens ended it."""
        with self._lock:
            self._replies.append((text, is_cut))
            for distinct in self._distinct.values():
                distinct.add(text)
            if len(self._replies) > self._max_replies:
                oldest, _ = self._replies.popleft()
                for distinct in self._distinct.values():
                    distinct.remove(oldest)

    @property
    def num_tokens(self) -> int:
        return len(self._nats)

    @property
    def log_perplexity(self) -> float:
        """Mean nats per token; summed anew, as a running sum would keep an infinity for ever."""
        with self._lock:
            return _mean(self._nats)

    def distinct(self, n: int) -> float:
        """Distinct-1 or Distinct-2."""
        with self._lock:
            return self._distinct[n].value

    @property
    def empty_ratio(self) -> float:
        """Share of replies without a word."""
        with self._lock:
            return _mean([not text.strip() for text, _ in self._replies])

    @property
    def length_limit_ratio(self) -> float:
        """Share of replies that max_tokens ended."""
        with self._lock:
            return _mean([is_cut for _, is_cut in self._replies])


def _mean(values: Collection[float]) -> float:
    return sum(values) / len(values) if values else math.nan
