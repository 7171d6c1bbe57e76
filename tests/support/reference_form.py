"""Which tokens a form allows, once more and slowly.

Of an automaton each token is walked byte by byte, from every state. Of a grammar the library reads
the whole text anew for every token, over a vocabulary of bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

from llguidance import LLMatcher

from lstmserve_server.engine.constraints.automaton import OUTSIDE, TextTable
from lstmserve_server.engine.constraints.grammar import Grammar
from lstmserve_server.engine.constraints.growing import ReplyMaker
from lstmserve_server.engine.constraints.parsing import GrammarVocabulary


class ReferenceForm:
    """A form over the tokens of a vocabulary, by its table of bytes alone."""

    def __init__(self, text: TextTable, tokens: Sequence[bytes], end_id: int) -> None:
        self._text = text
        self._tokens = tokens
        self._end_id = end_id
        self._nexts = memoryview(text.nexts).cast("i")
        self._steps: dict[int, dict[int, int]] = {}
        self.distances = self._measure()

    def state_after(self, token_ids: Sequence[int]) -> int:
        """The state after these tokens, which are allowed."""
        state = self._text.start
        for token_id in token_ids:
            state = self._steps_of(state)[token_id]
        return state

    def allowed(self, token_ids: Sequence[int], max_tokens: int) -> set[int]:
        """The tokens that may follow these, in a reply of at most so many."""
        state = self.state_after(token_ids)
        left = max_tokens - len(token_ids) - 1
        found = {
            token_id
            for token_id, following in self._steps_of(state).items()
            if self.distances.get(following, left + 1) <= left
        }
        return found | ({self._end_id} if self._text.is_complete(state) else set())

    @property
    def shortest(self) -> int | None:
        """The fewest tokens that satisfy it; None if none do."""
        return self.distances.get(self._text.start)

    def _steps_of(self, state: int) -> dict[int, int]:
        if state not in self._steps:
            found = {number: self._after(state, text) for number, text in enumerate(self._tokens)}
            self._steps[state] = {
                number: following
                for number, following in found.items()
                if following != OUTSIDE and self._tokens[number]
            }
        return self._steps[state]

    def _after(self, state: int, token: bytes) -> int:
        width = len(self._nexts) // len(self._text.accepts)
        for byte in token:
            if state == OUTSIDE:
                break
            state = self._nexts[state * width + self._text.byte_classes[byte]]
        return state

    def _measure(self) -> dict[int, int]:
        """The fewest tokens to completion, by state; states that have none are left out."""
        states = range(len(self._text.accepts))
        distances = {state: 0 for state in states if self._text.accepts[state]}
        distance = 0
        while True:
            distance += 1
            new = [
                state
                for state in states
                if state not in distances
                and any(following in distances for following in self._steps_of(state).values())
            ]
            if not new:
                return distances
            distances |= dict.fromkeys(new, distance)


BYTES = GrammarVocabulary([*(bytes([byte]) for byte in range(256)), b""], 256)


class ReferenceGrammar:
    """A grammar over the tokens of a vocabulary."""

    def __init__(self, grammar: Grammar, tokens: Sequence[bytes], end_id: int) -> None:
        self._grammar = grammar
        self._tokens = tokens
        self._end_id = end_id
        self._maker = ReplyMaker(tokens, end_id)

    def allowed(self, token_ids: Sequence[int], _: int) -> set[int]:
        """The tokens that may follow these, whether or not a completion fits behind them."""
        begun = self._grammar.prefix + b"".join(self._tokens[token] for token in token_ids)
        matcher = BYTES.begin(self._grammar.text, begun)
        found = {number for number, text in enumerate(self._tokens) if _goes_on(matcher, text)}
        return found | ({self._end_id} if matcher.is_accepting() else set())

    def instead(self, token_ids: Sequence[int], token_id: int, max_tokens: int) -> int:
        """What a reply takes that has these tokens and chooses this one."""
        reply = self._maker.begin(self._grammar, max_tokens)
        assert reply.follows(token_ids)
        return reply.take(token_id)


def _goes_on(matcher: LLMatcher, text: bytes) -> bool:
    return bool(text) and matcher.validate_tokens(list(text)) == len(text)
