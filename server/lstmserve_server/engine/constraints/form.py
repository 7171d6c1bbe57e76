"""A form as the server's process keeps it: what is asked for, and what was built of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from lstmserve_server.engine.constraints.automaton import OUTSIDE, Automaton, TextTable
from lstmserve_server.engine.constraints.grammar import Grammar


class FormText(Protocol):
    """A text that grows, and whether it satisfies a form."""

    def learn(self, may_end_at: Sequence[int]) -> None:
        """Know where it satisfies the form, in bytes from its beginning, if it does not know."""

    def push(self, text: str) -> None:
        """Add text."""

    def is_complete_with(self, text: str) -> bool:
        """Return whether it satisfies the form once this is added, which it is not."""


class Form(Protocol):
    """What a reply must satisfy."""

    @property
    def digest(self) -> bytes:
        """Names what was asked for."""

    @property
    def taught(self) -> Automaton | Grammar:
        """What an engine is told of it."""

    @property
    def start(self) -> int | None:
        """The state in which a reply begins; None: that in which the form begins."""

    @property
    def shortest(self) -> int:
        """The fewest tokens of a reply, as far as they are known."""

    @property
    def num_bytes(self) -> int:
        """The memory that it takes here."""

    def allows_within(self, token_ids: Sequence[int], max_tokens: int) -> bool:
        """Return whether a reply of at most so many tokens may begin with these.

        Of a grammar only its engine knows, which refuses the reply.
        """

    def begin_text(self) -> FormText:
        """Return the text of a reply before its first token."""


@dataclass(frozen=True, slots=True)
class RegularForm:
    """A form that an automaton reads."""

    digest: bytes
    taught: Automaton
    text: TextTable
    start: int | None = None  # of replies that go on with a text; None: where the form begins

    def after(self, text: str) -> tuple[RegularForm, int]:
        """Return the form of what goes on with a text, and how much of it fits."""
        state, fits = self.text.walk_within(text, self.taught.unpacked_distances)
        return (self if fits < len(text) else replace(self, start=state)), fits

    @property
    def shortest(self) -> int:
        """The fewest tokens of a reply."""
        return self.taught.distance(self.taught.start if self.start is None else self.start)

    @property
    def num_bytes(self) -> int:
        """The memory that it takes here."""
        return self.taught.num_bytes + self.text.num_bytes

    def allows_within(self, token_ids: Sequence[int], max_tokens: int) -> bool:
        """Return whether a reply of at most so many tokens may begin with these."""
        return self.taught.allows_within(token_ids, max_tokens, self.start)

    def begin_text(self) -> FormText:
        """Return the text of a reply before its first token."""
        return RegularText(self.text, self.start)


@dataclass(frozen=True, slots=True)
class ContextFreeForm:
    """A form that a grammar describes."""

    digest: bytes
    taught: Grammar
    start: None = None  # it is in the grammar

    @property
    def shortest(self) -> int:
        """The fewest tokens that are known to satisfy it."""
        return self.taught.shortest

    @property
    def num_bytes(self) -> int:
        """The memory that it takes here."""
        return self.taught.num_bytes

    def allows_within(self, _: Sequence[int], __: int) -> bool:
        """Return that a reply may begin with any tokens, as its engine will look at them."""
        return True

    def begin_text(self) -> FormText:
        """Return the text of a reply before its first token."""
        return ContextFreeText()


class RegularText:
    """A text that an automaton reads as it grows."""

    def __init__(self, table: TextTable, start: int | None) -> None:
        self._table = table
        self._state = table.start if start is None else start

    def learn(self, may_end_at: Sequence[int]) -> None:
        """Do nothing: it finds out by itself."""

    def push(self, text: str) -> None:
        """Add text."""
        if self._state != OUTSIDE:
            self._state = self._table.walk(self._state, text)

    def is_complete_with(self, text: str) -> bool:
        """Return whether it satisfies the form once this is added, which it is not."""
        if self._state == OUTSIDE:
            return False
        return self._table.is_complete(self._table.walk(self._state, text))


class ContextFreeText:
    """A text of which only its engine knows where it keeps a grammar.

    To parse it here would keep all that is served waiting.
    """

    def __init__(self) -> None:
        self._num_bytes = 0
        self._may_end_at: set[int] = set()

    def learn(self, may_end_at: Sequence[int]) -> None:
        """Know where it satisfies the form, in bytes from its beginning."""
        self._may_end_at.update(may_end_at)

    def push(self, text: str) -> None:
        """Add text."""
        self._num_bytes += len(text.encode())

    def is_complete_with(self, text: str) -> bool:
        """Return whether it satisfies the form once this is added, which it is not."""
        return self._num_bytes + len(text.encode()) in self._may_end_at
