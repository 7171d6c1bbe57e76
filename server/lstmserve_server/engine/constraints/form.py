"""A form as this process keeps it: what is asked for, and what was built of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lstmserve_server.engine.constraints.automaton import NEVER, OUTSIDE, Automaton, TextTable


@dataclass(frozen=True, slots=True)
class Form:
    """What a reply must satisfy."""

    digest: bytes  # of what was asked for
    automaton: Automaton
    text: TextTable
    start: int | None = None  # of replies that go on with a text; None: where the form begins

    def after(self, text: str) -> Form | None:
        """Return the form of what goes on with a text; None where no reply can."""
        state = self.text.walk(self.text.start, text)
        if state == OUTSIDE or self.automaton.distance(state) == NEVER:
            return None
        return replace(self, start=state)

    @property
    def shortest(self) -> int:
        """The fewest tokens of a reply."""
        start = self.automaton.start if self.start is None else self.start
        return self.automaton.distance(start)

    @property
    def num_bytes(self) -> int:
        """The memory that it takes."""
        return self.automaton.num_bytes + self.text.num_bytes


class FormText:
    """A text that grows, and whether it satisfies a form."""

    def __init__(self, form: Form) -> None:
        self._table = form.text
        self._state = form.text.start if form.start is None else form.start

    def push(self, text: str) -> None:
        """Add text."""
        if self._state != OUTSIDE:
            self._state = self._table.walk(self._state, text)

    def is_complete_with(self, text: str) -> bool:
        """Return whether it satisfies the form once this is added, which it is not."""
        if self._state == OUTSIDE:
            return False
        return self._table.is_complete(self._table.walk(self._state, text))
