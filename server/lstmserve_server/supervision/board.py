"""What operators said to any worker, for all the others, and for those that come later."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lstmserve_server.word import Word

Hear = Callable[[Word], None]


class Board:
    """Passes words on; the last one counts."""

    def __init__(self) -> None:
        self._word: Word | None = None
        self._listeners: list[Hear] = []

    @contextmanager
    def listening(self, hear: Hear) -> Iterator[Hear]:
        """Hear what others say, and what was said before; yields a way to say something."""
        self._listeners.append(hear)
        if self._word is not None:
            hear(self._word)
        try:
            yield lambda word: self._say(word, hear)
        finally:
            self._listeners.remove(hear)

    def _say(self, word: Word, speaker: Hear) -> None:
        self._word = word
        for hear in self._listeners:
            if hear is not speaker:
                hear(word)
