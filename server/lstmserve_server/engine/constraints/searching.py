"""Searches for a short completion: the cheapest tokens first, and closing brackets at once.

A walk that always closes what it can goes round in circles where closing is no way out: behind
``for x`` Python needs ``in``. A search from many states at a time finds such ways, as long as they
are short. It is a function of the text alone, like the walk, and gives up after so many tokens.
"""

from __future__ import annotations

import heapq
from functools import lru_cache

import numpy as np
from llguidance import LLMatcher

from lstmserve_server.engine.constraints.parsing import GrammarVocabulary, consume, mask_of

MAX_RUN = 16  # closing brackets that change nothing: they are text
FEW = 16  # letters that may follow where only certain words may
FREE = 95  # tokens that may follow inside of a text, where a quote ends it
MEMORY = 4  # last tokens by which states are told apart, beside what they allow
CLOSING, QUOTES = b"}])", frozenset(b"\"'")
COSTS = dict.fromkeys(b"\n: ", 1) | dict.fromkeys(b",;=", 3) | dict.fromkeys(QUOTES, 4)
DIGIT_COST, WORD_COST, NAME_COST, OTHER_COST, LONGER_COST = 1, 1, 3, 5, 2
BLANK, LINE_END, DIGIT, BEYOND_ASCII = ord(" "), ord("\n"), ord("0"), 0x80

Path = tuple[int, ...]


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
        self._options = lru_cache(maxsize=1024)(self._find_options)

    def complete(self, matcher: LLMatcher, most: int, max_tried: int) -> list[int] | None:
        """Return at most so many tokens that complete a text; None when none are soon found."""
        path, matcher = self._close((), matcher, most)
        if matcher.is_accepting():
            return list(path) if len(path) <= most else None
        heap: list[tuple[int, int, Path, LLMatcher]] = [(0, 0, path, matcher)]
        seen: set[tuple[bytes, Path]] = set()
        tried = 0
        while heap and tried < max_tried:
            cost, _, path, matcher = heapq.heappop(heap)
            for token_id, step in self._options(mask_of(matcher)):
                tried += 1
                after = matcher.deep_copy()
                consume(after, [token_id])
                longer, after = self._close((*path, token_id), after, most)
                if len(longer) > most:
                    continue
                if after.is_accepting():
                    return list(longer)
                state = mask_of(after), longer[-MEMORY:]
                if state not in seen:
                    seen.add(state)
                    spent = cost + step + self._goes_on(path, token_id)
                    heapq.heappush(heap, (spent, tried, longer, after))
        return None

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
        is_longer = last[-1:].isalnum() if token.isdigit() else last == token
        return LONGER_COST if is_longer and not token.isalpha() else 0

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
        if len(letters) <= FEW:
            return found + [(number, WORD_COST) for number in letters]
        return [*found, (letters[0], NAME_COST)]

    def _cost(self, kind: int, num_allowed: int) -> int:
        if kind in QUOTES and num_allowed >= FREE:
            return 0
        return DIGIT_COST if kind == DIGIT else COSTS.get(kind, OTHER_COST)
