"""A reply that grows under a grammar, and always knows how to end in time."""

from __future__ import annotations

from collections.abc import Sequence

from llguidance import LLMatcher

from lstmserve_server.engine.constraints.completion import Completer, completes
from lstmserve_server.engine.constraints.grammar import Grammar
from lstmserve_server.engine.constraints.parsing import GrammarVocabulary, consume, mask_of
from lstmserve_server.errors import LstmserveError


class ReplyMaker:
    """Begins replies over the tokens of one model."""

    def __init__(self, tokens: Sequence[bytes], end_id: int) -> None:
        self._vocabulary = GrammarVocabulary(tokens, end_id)
        self._completer = Completer(self._vocabulary)

    def begin(self, grammar: Grammar, max_tokens: int) -> GrammarReply:
        """Return a reply before its first token; raises GrammarError."""
        return GrammarReply(grammar, self._vocabulary, self._completer, max_tokens)


class GrammarReply:
    """The tokens of one reply so far.

    After each of them a completion is known that fits into what is left. A token after which none
    is found does not come; the reply takes the next one of its completion instead. So what it takes
    depends on its tokens and on ``max_tokens`` alone. Methods raise GrammarError where the library
    gives up.
    """

    def __init__(
        self,
        grammar: Grammar,
        vocabulary: GrammarVocabulary,
        completer: Completer,
        max_tokens: int,
    ) -> None:
        self._matcher = vocabulary.begin(grammar.text, grammar.prefix)
        self._completer = completer
        self._end_id = vocabulary.end_id
        self._completion = list(grammar.completion)
        self._left = max_tokens  # how many tokens may follow
        self.num_tokens = 0
        self.error: LstmserveError | None = None

    @property
    def is_over(self) -> bool:
        """Whether no further token counts."""
        return self._left <= 0

    def allowed(self) -> bytes:
        """Return a bit for each token that may follow, lowest first."""
        return mask_of(self._matcher)

    def follows(self, token_ids: Sequence[int]) -> bool:
        """Take the first tokens of a reply that is gone on with; return whether it may be one."""
        return all(
            self._matcher.validate_tokens([token_id]) == 1 and self.take(token_id) == token_id
            for token_id in token_ids
        )

    def take(self, token_id: int) -> int:
        """Take an allowed token, or else the next one to completion; return what was taken."""
        self._left -= 1
        self.num_tokens += 1
        if token_id != self._end_id and not self._takes(token_id):
            token_id = self._completion[0] if self._completion else self._end_id
            self._takes(token_id)
        if token_id == self._end_id:
            self._left = 0
        return token_id

    def _takes(self, token_id: int) -> bool:
        """Go on by a token if a completion is known that fits behind it."""
        if self._completion[:1] == [token_id]:
            consume(self._matcher, [token_id])
            del self._completion[0]
            return True
        after = self._matcher.deep_copy()
        consume(after, [token_id])
        completion = self._complete(after)
        if completion is None:
            return False
        self._matcher, self._completion = after, completion
        return True

    def _complete(self, after: LLMatcher) -> list[int] | None:
        known = self._completion
        if len(known) <= self._left and completes(after, known, self._end_id):
            return known
        return self._completer.complete(after, self._left)
