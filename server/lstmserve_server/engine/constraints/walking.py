"""Walks to a completion, from state to state, and prefers what closes: brackets, quotes, commas.

States are told apart by the tokens that they allow, as the library tells no more. Where a token
changes nothing, the next one is tried, so that no walk goes on in a circle for ever. A walk is a
function of the text and of its bounds alone. Its way need not be the shortest.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from llguidance import LLMatcher

from lstmserve_server.engine.constraints.parsing import GrammarVocabulary, consume, mask_of

Ids = npt.NDArray[np.int64]

ENDING = b"\"'}])>`"  # in this order
BRACKETS = b"}])>"
SEPARATING = b"\n;:,"  # which something follows
OPENING = b"{[("
MAX_KEPT = 1024  # sets of tokens, of which most are small
MAX_OF_KIND, MAX_LONGEST = 8, 32  # tokens that a walk tries
MAX_CLOSED = 16  # brackets one behind the other
MAX_VISITS = 16  # of the same state, before another token is tried there all the same
LONG = 16  # tokens of a way that is worth shortening
SPARE = 64  # tokens of a walk that may lead nowhere
DIGIT, LETTER, BEYOND_ASCII = 256, 257, 258  # kinds of tokens; others are their first byte


class Walker:
    """Walks over one vocabulary."""

    def __init__(self, vocabulary: GrammarVocabulary) -> None:
        self._vocabulary = vocabulary
        tokens = vocabulary.tokens
        numbers = [number for number, token in enumerate(tokens) if token]
        self._closing_first = np.array(sorted(numbers, key=lambda n: (*_rank(tokens[n]), n)))
        self._longest_first = np.array(sorted(numbers, key=lambda n: (-len(tokens[n]), n)))
        self._kinds = np.array([_kind(token) for token in tokens])
        self._kept: OrderedDict[bytes, Choices | None] = OrderedDict()

    def complete(
        self, matcher: LLMatcher, most: int, max_asked: int, max_read: int
    ) -> list[int] | None:
        """Return at most so many tokens that complete a text; None when none are found.

        It asks about so many states, and reads so many tokens to shorten what it has found.
        """
        walk = _Walk(matcher.deep_copy(), self)
        while len(walk.token_ids) <= 2 * most + SPARE and walk.num_asked <= max_asked:
            if walk.is_complete:
                found = walk.shortened(matcher, self._vocabulary.end_id, max_read)
                return found if len(found) <= most else None
            if not walk.goes_on():
                return None
        return None

    def closes(self, token_id: int) -> bool:
        """Return whether a token is made of brackets that close."""
        return all(byte in BRACKETS for byte in self._vocabulary.tokens[token_id])

    def forced(self, text: bytes) -> list[int] | None:
        """Return the tokens of a text that must follow; None where the model lacks some."""
        return self._vocabulary.tokenize(text)

    def choices(self, mask: bytes) -> Choices | None:
        """Return what a state allows, a bit for each token; None for nothing."""
        if mask not in self._kept:
            self._kept[mask] = self._find_choices(mask)
            if len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(mask)
        return self._kept[mask]

    def _find_choices(self, mask: bytes) -> Choices | None:
        bits = np.unpackbits(np.frombuffer(mask, np.uint8), bitorder="little")
        bits[self._vocabulary.end_id] = 0
        ranked = self._closing_first[bits[self._closing_first] == 1]
        if len(ranked) == 0:
            return None
        longest = self._longest_first[bits[self._longest_first] == 1]
        return Choices(self._by_kind(ranked), longest[:MAX_LONGEST].tolist())

    def _by_kind(self, ranked: Ids) -> list[list[int]]:
        """Return the first tokens of each kind, in the order of the first of all."""
        kinds, firsts = np.unique(self._kinds[ranked], return_index=True)
        grouped = ranked[np.argsort(self._kinds[ranked], kind="stable")]
        begins = np.searchsorted(self._kinds[grouped], kinds)
        parts = np.split(grouped, begins[1:])
        return [parts[number][:MAX_OF_KIND].tolist() for number in np.argsort(firsts)]


@dataclass(frozen=True)
class Choices:
    """What one state allows."""

    kinds: Sequence[Sequence[int]]  # tokens of each kind, the best first
    longest: Sequence[int]

    def at(self, turn: int) -> int:
        """Return the token of a turn: kinds take turns, and every other token is a long one."""
        number, is_odd = divmod(turn, 2)
        if is_odd:  # a text that must be long is so with few tokens
            return self.longest[number % len(self.longest)]
        round_, kind = divmod(number, len(self.kinds))
        return self.kinds[kind][round_ % len(self.kinds[kind])]


@dataclass
class _State:
    """What a walk knows of the states that allow the same tokens."""

    choices: Choices
    turn: int = 0
    num_visits: int = 0

    def take(self, *, is_stuck: bool) -> int:
        """Return the best token, or the next one where the last has led nowhere."""
        self.num_visits += 1
        self.turn = self.turn + 1 if is_stuck else self.num_visits // MAX_VISITS
        return self.choices.at(self.turn)


class _Walk:
    """A text that grows until it is complete."""

    def __init__(self, matcher: LLMatcher, walker: Walker) -> None:
        self._matcher = matcher
        self._walker = walker
        self._states: dict[bytes, _State] = {}
        self._last = b""
        self._num_same = 0  # states one after the other that allow the same
        self._moving: list[int] = []  # without those that led nowhere
        self.token_ids: list[int] = []
        self.num_asked = 0

    @property
    def is_complete(self) -> bool:
        return self._matcher.is_accepting()

    def goes_on(self) -> bool:
        """Take what must follow, or else a token; return whether there is one."""
        forced = self._matcher.compute_ff_bytes()
        if forced:
            self._last = b""
            return self._takes(self._walker.forced(forced))
        mask = mask_of(self._matcher)
        self.num_asked += 1
        if mask not in self._states:
            choices = self._walker.choices(mask)
            if choices is None:
                return False
            self._states[mask] = _State(choices)
        is_stuck = mask == self._last and not self._may_repeat()
        if is_stuck:
            self._moving.pop()
        token_id = self._states[mask].take(is_stuck=is_stuck)
        self._num_same = self._num_same + 1 if mask == self._last else 0
        self._last = mask
        return self._takes([token_id])

    def _may_repeat(self) -> bool:
        """Return whether the last token may have led on though the same may follow.

        Behind a bracket that closes, the one around it may close as well.
        """
        is_bracket = self._walker.closes(self.token_ids[-1])
        return is_bracket and self._num_same < MAX_CLOSED

    def _takes(self, token_ids: list[int] | None) -> bool:
        if token_ids is None:
            return False
        consume(self._matcher, token_ids)
        self._moving += token_ids
        self.token_ids += token_ids
        return True

    def shortened(self, matcher: LLMatcher, end_id: int, max_read: int) -> list[int]:
        """Return the way without what it does not need, as far as that is soon found."""
        found = self._moving if completes(matcher, self._moving, end_id) else self.token_ids
        size = len(found) // 2 if len(found) > LONG else 0
        num_read = 0
        while size:
            start = 0
            while start < len(found) and num_read < max_read:
                shorter = found[:start] + found[start + size :]
                num_valid = num_completing(matcher, shorter, end_id)
                num_read += num_valid + 1
                if num_valid > len(shorter):
                    found = shorter
                else:
                    start += size
            size //= 2
        return found


def completes(matcher: LLMatcher, token_ids: Sequence[int], end_id: int) -> bool:
    """Return whether a text is complete after these tokens, all of which may follow."""
    return num_completing(matcher, token_ids, end_id) > len(token_ids)


def num_completing(matcher: LLMatcher, token_ids: Sequence[int], end_id: int) -> int:
    """Return how many of these tokens may follow, the end behind them counted."""
    return int(matcher.validate_tokens([*token_ids, end_id]))


def _rank(token: bytes) -> tuple[int, int, int]:
    """Return a token's place among those that may follow; the lowest first."""
    if all(byte in ENDING for byte in token):
        return 0, ENDING.index(token[:1]), -len(token)
    if len(token) == 1 and token in SEPARATING:
        return 1, SEPARATING.index(token), 0
    if token == b"0":
        return 2, 0, 0
    if token.isalnum():
        return 3, 0, -len(token)
    is_last = any(byte in OPENING for byte in token) or not token.strip()
    return (5 if is_last else 4), 0, -len(token)


def _kind(token: bytes) -> int:
    first = token[:1]
    if first.isdigit():
        return DIGIT
    if first.isalpha():
        return LETTER
    return BEYOND_ASCII if first >= b"\x80" else ord(first or b"\0")
