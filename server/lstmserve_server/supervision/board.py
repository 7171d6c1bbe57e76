"""What operators said to any worker, for all the others, and for those that come later."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lstmserve_server.store.directives import Directives
from lstmserve_server.word import Saying, Word

Hear = Callable[[Word], None]
Say = Callable[[Saying], None]


@dataclass(eq=False, slots=True)
class _Listener:
    hear: Hear
    num_sayings: int = 0


class Board:
    """Puts together what is said, and tells it to all: whatever the order, all know the same.

    Also to who said it, because somebody else may have said something at the same time.
    """

    def __init__(self) -> None:
        self.directives: Directives | None = None  # all that was said so far
        self.log_level = ""  # empty: nothing was said of it
        self._listeners: list[_Listener] = []

    @contextmanager
    def listening(self, hear: Hear) -> Iterator[Say]:
        """Hear what is said, and what was said before; yields a way to say something."""
        listener = _Listener(hear)
        self._listeners.append(listener)
        self._tell(listener)
        try:
            yield lambda saying: self._take(saying, listener)
        finally:
            self._listeners.remove(listener)

    def _take(self, saying: Saying, speaker: _Listener) -> None:
        known = saying.before if self.directives is None else self.directives
        self.directives = known.with_changes(saying.before, saying.after)
        self.log_level = saying.log_level or self.log_level
        speaker.num_sayings += 1
        for listener in self._listeners:
            self._tell(listener)

    def _tell(self, listener: _Listener) -> None:
        if self.directives is not None:
            listener.hear(Word(self.directives, listener.num_sayings, self.log_level))
