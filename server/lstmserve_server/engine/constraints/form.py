"""A form as this process keeps it: what is asked for, and what was built of it."""

from __future__ import annotations

from dataclasses import dataclass

from lstmserve_server.engine.constraints.automaton import OUTSIDE, Automaton, TextTable


@dataclass(frozen=True, slots=True)
class Form:
    """What a reply must satisfy."""

    digest: bytes  # of what was asked for
    automaton: Automaton
    text: TextTable

    @property
    def num_bytes(self) -> int:
        """The memory that it takes."""
        return self.automaton.num_bytes + self.text.num_bytes


class FormText:
    """A text that grows, and whether it satisfies a form."""

    def __init__(self, table: TextTable) -> None:
        self._table = table
        self._state = table.start

    def push(self, text: str) -> None:
        """Add text."""
        if self._state != OUTSIDE:
            self._state = self._table.walk(self._state, text)

    def is_complete_with(self, text: str) -> bool:
        """Return whether it satisfies the form once this is added, which it is not."""
        if self._state == OUTSIDE:
            return False
        return self._table.is_complete(self._table.walk(self._state, text))
