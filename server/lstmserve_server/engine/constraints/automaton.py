"""A form that a reply keeps, as tables: over the tokens of one model, and over the bytes of texts.

The tokens' table is what an engine reads. In each state some tokens are allowed: those after which
the form can still be completed by further tokens. The end token is allowed where the form is
complete. Tokens that do the same in every state are one class.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from functools import cached_property

import msgspec

INT32, UINT16 = "i", "H"
MAX_UNPACKED_SETS = 256  # 4 MB of 4,096 tokens; to unpack bits in each step takes twice as long
NEVER = (1 << 31) - 1  # a distance: no token leads to completion
UNKNOWN = "\0"  # in symbols: a character that no text of a form has
# of each byte of UTF-8, whether a character begins with it
_BEGINS = bytes(byte & 0xC0 != 0x80 for byte in range(256))  # noqa: PLR2004 - 0b10xxxxxx goes on
OUTSIDE = -1  # the state of a text that is no beginning of any that fits


class Automaton(msgspec.Struct, frozen=True, array_like=True, dict=True, tag=1):
    """The table of tokens; numbers are little-endian, as all machines are that it runs on.

    s states, e transitions in the order of their states and classes, m different sets of allowed
    tokens, v tokens.
    """

    start: int
    first: bytes  # int32 [s + 1]: of each state, the number of its first transition
    classes: bytes  # uint16 [e]: the class of tokens
    nexts: bytes  # int32 [e]: the state they lead to; after the end token it stays the same
    mask_ids: bytes  # int32 [s]
    distances: bytes  # int32 [s]: the fewest tokens to completion, the end token not counted
    worst: bytes  # int32 [s]: the greatest distance of any state that an allowed token leads to
    masks: bytes  # uint8 [m, v / 8]: a bit for each token, lowest first
    token_classes: bytes  # uint16 [v]

    @property
    def shortest(self) -> int:
        """The fewest tokens that satisfy it."""
        return self.distance(self.start)

    def distance(self, state: int) -> int:
        """Return the fewest tokens that complete it from a state; ``NEVER`` where none do."""
        return self.unpacked_distances[state]

    @property
    def num_bytes(self) -> int:
        """The size of all tables."""
        return sum(map(len, msgspec.structs.astuple(self)[1:]))

    @property
    def num_sets(self) -> int:
        """How many different sets of tokens its states allow."""
        return len(self.masks) // (len(self.token_classes) // 16)

    @property
    def has_many_sets(self) -> bool:
        """Whether an engine keeps its sets as bits, and not as what they add to logits."""
        return self.num_sets > MAX_UNPACKED_SETS

    @property
    def taught_bytes(self) -> int:
        """The memory that an engine takes for it, and the copy that it keeps."""
        num_tokens, num_steps = len(self.token_classes) // 2, len(self.classes) // 2
        sets = len(self.masks) if self.has_many_sets else 4 * num_tokens * self.num_sets
        return self.num_bytes + sets + 8 * num_tokens + 12 * num_steps + 3 * len(self.distances)

    def walk(self, token_ids: Iterable[int], state: int | None = None) -> int | None:
        """Return the state after further tokens; None when one of them is not allowed."""
        first, classes, nexts, class_of = self._tables
        state = self.start if state is None else state
        for token_id in token_ids:
            begin, end = first[state], first[state + 1]
            wanted = class_of[token_id]
            place = bisect_left(classes, wanted, begin, end)
            if place == end or classes[place] != wanted:
                return None
            state = nexts[place]
        return state

    def allows_within(
        self, token_ids: Iterable[int], max_tokens: int, begin: int | None = None
    ) -> bool:
        """Return whether a reply of at most so many tokens, from a state, may begin with these."""
        distances = self.unpacked_distances
        state: int | None = self.start if begin is None else begin
        for number, token_id in enumerate(token_ids, start=1):
            state = self.walk([token_id], state)
            if state is None or distances[state] > max_tokens - number:
                return False
        return True

    @cached_property
    def unpacked_distances(self) -> array[int]:
        """The distance of each state."""
        return _numbers(INT32, self.distances)

    @cached_property
    def _tables(self) -> tuple[array[int], array[int], array[int], array[int]]:
        return (
            _numbers(INT32, self.first),
            _numbers(UINT16, self.classes),
            _numbers(INT32, self.nexts),
            _numbers(UINT16, self.token_classes),
        )


class TextTable(msgspec.Struct, frozen=True, array_like=True, dict=True):
    """The table of bytes; c classes of bytes."""

    start: int
    byte_classes: bytes  # uint8 [256]
    nexts: bytes  # int32 [s, c]: OUTSIDE for none
    accepts: bytes  # uint8 [s]: 1 where a text is complete
    characters: str = ""  # ascending: those that have a symbol, if it is over symbols
    symbols: str = ""  # of each of them

    def walk(self, state: int, text: str) -> int:
        """Return the state after further text, from one that is not ``OUTSIDE``."""
        nexts, classes = self._nexts, self.byte_classes
        width = len(nexts) // len(self.accepts)
        for byte in self._read(text):
            if state == OUTSIDE:
                break
            state = nexts[state * width + classes[byte]]
        return state

    def walk_within(self, text: str, distances: Sequence[int]) -> tuple[int, int]:
        """Return the state after a text, and how many of its characters fit.

        None fits after which the distance of the state, of whole characters, is ``NEVER``.
        """
        nexts, data, state = self._nexts, self._read(text), self.start
        width = len(nexts) // len(self.accepts)
        ends = iter(data[1:].translate(_BEGINS) + b"\1" * bool(data))
        for kind, is_whole in zip(data.translate(self.byte_classes), ends, strict=True):
            state = nexts[state * width + kind]
            if state == OUTSIDE or (is_whole and distances[state] == NEVER):
                return state, len(text) - is_whole - sum(ends)  # those that are left
        return state, len(text)

    def is_complete(self, state: int) -> bool:
        """Return whether a text that leads to this state satisfies the form."""
        return state != OUTSIDE and bool(self.accepts[state])

    @property
    def num_bytes(self) -> int:
        """The size of the tables."""
        tables = len(self.byte_classes) + len(self.nexts) + len(self.accepts)
        return tables + 4 * (len(self.characters) + len(self.symbols))

    def _read(self, text: str) -> bytes:
        """Return what the table is of: a text, or its symbols."""
        if not self.characters:
            return text.encode()
        found = {ord(character): self._symbol_of(character) for character in set(text)}
        return text.translate(found).encode()

    def _symbol_of(self, character: str) -> str:
        place = bisect_left(self.characters, character)
        is_known = self.characters[place : place + 1] == character
        return self.symbols[place] if is_known else UNKNOWN

    @cached_property
    def _nexts(self) -> array[int]:
        return _numbers(INT32, self.nexts)


def _numbers(kind: str, data: bytes) -> array[int]:
    numbers = array(kind)
    numbers.frombytes(data)
    return numbers
