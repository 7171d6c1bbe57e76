"""Whose turn it is: start-time fair queueing.

P. Goyal, H. Vin, H. Cheng: Start-time Fair Queuing (SIGCOMM 1996). Each key has a tag: what
it was charged so far. The key with the lowest tag is next. One that comes with nothing
charged starts at the tag of the last turn: it is next, and gets no credit for its absence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from lstmserve_server.engine.scheduling.ranking import Ranking

Key = TypeVar("Key")


class Turns(Generic[Key]):
    """Shares turns between the keys that have work, by what their turns cost."""

    def __init__(self, precedence: Callable[[Key], int] = lambda _: 0) -> None:
        """Of keys with the same tag, the one of lower precedence is next."""
        self._precedence = precedence
        self._last = 0  # the tag of the last turn
        self._tags: dict[Key, int] = {}
        self._with_work: Ranking[Key] = Ranking()

    def __len__(self) -> int:
        """Return how many keys have work."""
        return len(self._with_work)

    def __contains__(self, key: Key) -> bool:
        """Return whether a key has work."""
        return key in self._with_work

    def begin(self, key: Key) -> None:
        """Note that a key has work from now on."""
        self._add(key, max(self._tags.get(key, 0), self._last))

    def end(self, key: Key) -> None:
        """Note that a key has no more work, and remember what it was charged."""
        self._with_work.discard(key)

    def forget(self, key: Key) -> None:
        """Forget what a key without work was charged."""
        self._tags.pop(key, None)

    def next(self) -> Key | None:
        """Return the key whose turn it is; None when no key has work."""
        return self._with_work.first()

    def charge(self, key: Key, cost: int) -> None:
        """Charge a key with work for its turn; it still has work."""
        self._last = self._tags[key]
        self._with_work.discard(key)
        self._add(key, self._last + cost)

    def _add(self, key: Key, tag: int) -> None:
        self._tags[key] = tag
        self._with_work.add(key, tag, self._precedence(key))
