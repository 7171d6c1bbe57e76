"""Searches for a short completion: the cheapest tokens first, and closing brackets at once.

A walk that always closes what it can goes round in circles where closing is no way out: behind
``for x`` Python needs ``in``. A search from many states at a time finds such ways, as long as they
are short. It is a function of the text alone, like the walk, and gives up after so many tokens.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from functools import lru_cache
from itertools import count, islice
from typing import NamedTuple

import numpy as np
from llguidance import LLMatcher

from lstmserve_server.engine.constraints.parsing import GrammarVocabulary, consume, mask_of

MAX_RUN = 16  # closing brackets that change nothing: they are text
FEW = 16  # letters that may follow where only certain words may
FREE = 95  # tokens that may follow inside of a text, where a quote ends it
MEMORY = 4  # last tokens, white ones apart, that tell states apart beside what they allow
CLOSING, QUOTES = b"}])", frozenset(b"\"'")
# a line that ends has cost what is in it
COSTS = {ord("\n"): 0} | dict.fromkeys(b": ", 1) | dict.fromkeys(b",;=", 3)
QUOTE_COST = 4
DIGIT_COST, WORD_COST, NAME_COST, OTHER_COST, LONGER_COST = 1, 1, 2, 5, 2
BLANK, LINE_END, DIGIT, BEYOND_ASCII = ord(" "), ord("\n"), ord("0"), 0x80

Path = tuple[int, ...]


class Way(NamedTuple):
    """A text that was come to, and a token to try behind it."""

    cost: int
    number: int  # of ways of the same cost the oldest comes first
    path: Path
    matcher: LLMatcher
    token_id: int


class Search:
    """Searches over one vocabulary."""

    def __init__(self, vocabulary: GrammarVocabulary) -> None:
        self._tokens = vocabulary.tokens
        self._ids = sorted(
            (number for number, token in enumerate(self._tokens) if token),
            key=lambda number: (len(self._tokens[number]), self._tokens[number]),
        )
        self._closing = [
            n for n in self._ids if len(self._tokens[n]) == 1 and self._tokens[n] in CLOSING
        ]
        self._white = frozenset(n for n in self._ids if self._tokens[n].isspace())
        self._options = lru_cache(maxsize=1024)(self._find_options)
        self._numbers = count()

    def complete(self, matcher: LLMatcher, most: int, max_tried: int) -> list[int] | None:
        """Return at most so many tokens that complete a text; None when none are soon found.

        A token is tried when its way is the cheapest one left: most never are.
        """
        path, matcher = self._close((), matcher, most)
        if matcher.is_accepting():
            return list(path) if len(path) <= most else None
        seen: set[tuple[bytes, Path]] = set()
        ways = list(self._branch(0, path, matcher))
        heapq.heapify(ways)
        for _ in range(max_tried):
            if not ways:
                break
            way = heapq.heappop(ways)
            path, matcher = self._try(way, most)
            if len(path) > most:
                continue
            if matcher.is_accepting():
                return list(path)
            state = mask_of(matcher), self._remember(path)
            if state not in seen:
                seen.add(state)
                for further in self._branch(way.cost, path, matcher):
                    heapq.heappush(ways, further)
        return None

    def _branch(self, cost: int, path: Path, matcher: LLMatcher) -> Iterator[Way]:
        """Yield the ways that go on from here, by one token each."""
        for token_id, step in self._options(mask_of(matcher)):
            spent = cost + step + self._goes_on(path, token_id)
            yield Way(spent, next(self._numbers), path, matcher, token_id)

    def _try(self, way: Way, most: int) -> tuple[Path, LLMatcher]:
        after = way.matcher.deep_copy()
        consume(after, [way.token_id])
        return self._close((*way.path, way.token_id), after, most)

    def _remember(self, path: Path) -> Path:
        """Return the last tokens that are no white space: where that may stand, it says nothing."""
        return tuple(islice((n for n in reversed(path) if n not in self._white), MEMORY))

    def _close(self, path: Path, matcher: LLMatcher, most: int) -> tuple[Path, LLMatcher]:
        """Go on by closing brackets, and by what alone may follow."""
        longer, after, last, run = path, matcher.deep_copy(), b"", 0
        while not after.is_accepting() and len(longer) <= most:
            mask = mask_of(after)
            options = self._options(mask)
            closing = next((n for n in self._closing if mask[n // 8] >> n % 8 & 1), None)
            if closing is None and len(options) != 1:
                break
            run = run + 1 if mask == last and closing is not None else 0
            if run > MAX_RUN:
                return path, matcher
            token_id, last = options[0][0] if closing is None else closing, mask
            consume(after, [token_id])
            longer = (*longer, token_id)
        return longer, after

    def _goes_on(self, path: Path, token_id: int) -> int:
        """What a token costs more where it makes a number, a name or a blank longer."""
        last, token = self._tokens[path[-1]] if path else b"", self._tokens[token_id]
        if token == b"\n":
            is_longer = False  # it may end a block
        elif token.isalpha():
            is_longer = last[-1:].isdigit()
        else:
            is_longer = last[-1:].isalnum() if token.isdigit() else last == token
        return LONGER_COST if is_longer else 0

    def _find_options(self, mask: bytes) -> list[tuple[int, int]]:
        """Return what to try where these tokens may follow, with what it costs."""
        bits = np.unpackbits(np.frombuffer(mask, np.uint8), bitorder="little")
        allowed = [number for number in self._ids if bits[number]]
        letters = [number for number in allowed if self._tokens[number][:1].isalpha()]
        others: dict[int, int] = {}
        for number in allowed:
            first = self._tokens[number][:1]
            kind = DIGIT if first.isdigit() else min(first[0], BEYOND_ASCII)
            if not first.isalpha() and (kind >= BLANK or kind == LINE_END):
                others.setdefault(kind, number)
        found = [(number, self._cost(kind, len(allowed))) for kind, number in others.items()]
        if not found and not letters:
            return [(number, OTHER_COST) for number in allowed]  # control characters are left
        # beside digits a letter is one of a number, or a name's: any is as good
        if len(letters) <= FEW and DIGIT not in others:
            return found + [(number, WORD_COST) for number in letters]
        return found + [(number, NAME_COST) for number in letters[:1]]

    def _cost(self, kind: int, num_allowed: int) -> int:
        is_text = num_allowed >= FREE  # of which nothing but its end brings any further
        if kind in QUOTES:
            return 0 if is_text else QUOTE_COST
        if is_text:
            return OTHER_COST
        return DIGIT_COST if kind == DIGIT else COSTS.get(kind, OTHER_COST)
