"""A reply that grows under a grammar, and always knows how to end in time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import thread_time
from typing import TypeVar

from llguidance import LLMatcher

from lstmserve_server.engine.constraints.completion import IN_HASTE, IN_TURN, Completer
from lstmserve_server.engine.constraints.grammar import Grammar, GrammarError
from lstmserve_server.engine.constraints.parsing import GrammarVocabulary, consume, mask_of
from lstmserve_server.engine.constraints.stopping import StopPlaces
from lstmserve_server.engine.constraints.walking import completes
from lstmserve_server.errors import LstmserveError

MAX_RENEWED = 8  # lexers of one reply, each of which is compiled anew
MAX_REPLACED = 8  # tokens of a completion, for which one token may stand
# of the processor's time: a reply that takes more ends, so that others go on
SPARE_SECONDS, SECONDS_PER_TOKEN = 0.5, 0.006
TAKES_LONG = "takes longer than other replies can wait"
Result = TypeVar("Result")


class ReplyMaker:
    """Begins replies over the tokens of one model."""

    def __init__(self, tokens: Sequence[bytes], end_id: int) -> None:
        self._vocabulary = GrammarVocabulary(tokens, end_id)
        self._completer = Completer(self._vocabulary)

    def begin(
        self, grammar: Grammar, max_tokens: int, stop_sequences: Sequence[str] = ()
    ) -> GrammarReply:
        """Return a reply before its first token; raises GrammarError."""
        stops = StopPlaces(stop_sequences, self._vocabulary)
        return GrammarReply(grammar, self._vocabulary, self._completer, max_tokens, stops)


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
        stops: StopPlaces,
    ) -> None:
        self._grammar = grammar
        self._vocabulary = vocabulary
        self._completer = completer
        self._end_id = vocabulary.end_id
        self._completion = list(grammar.completion)
        self._left = max_tokens  # how many tokens may follow
        self._stops = stops
        self._token_ids: list[int] = []
        self._num_renewed = 0
        self._seconds = 0.0  # of the processor's time, while other replies waited
        self._mask: bytes | None = None  # of what may follow, once that is known
        self.error: LstmserveError | None = None
        self._begin()

    def _begin(self) -> None:
        self._shared = self._vocabulary.find(self._grammar.text)
        self._matcher = self._vocabulary.go_on(self._shared, self._grammar.prefix)
        if self._token_ids:
            consume(self._matcher, self._token_ids)

    @property
    def num_tokens(self) -> int:
        """How many were taken."""
        return len(self._token_ids)

    @property
    def is_over(self) -> bool:
        """Whether no further token counts."""
        return self._left <= 0

    def allowed(self) -> bytes:
        """Return a bit for each token that may follow, lowest first."""
        if self._mask is None:
            self._mask = self._surely(lambda: mask_of(self._matcher))
        return self._mask

    def follows(self, token_ids: Sequence[int]) -> bool:
        """Take the first tokens of a reply that is gone on with; return whether it may be one."""
        may_be_one = all(
            not self.is_over
            and self.allowed()[token_id // 8] >> token_id % 8 & 1
            and self.take(token_id) == token_id
            for token_id in token_ids
        )
        return may_be_one and not self._stops.is_stopped

    def take_places(self) -> list[int]:
        """Return where else it may end before a stop sequence, in bytes from its beginning."""
        return self._stops.take()

    def take(self, token_id: int) -> int:
        """Take an allowed token, or else the next one to completion; return what was taken."""
        began_at = thread_time()
        taken = self._surely(lambda: self._take(token_id))
        self._seconds += thread_time() - began_at
        if self._seconds > SPARE_SECONDS + SECONDS_PER_TOKEN * self.num_tokens:
            raise GrammarError(TAKES_LONG)
        return taken

    def _surely(self, call: Callable[[], Result]) -> Result:
        """Return what a call returns, if need be with a lexer of its own.

        Other replies may have used up what the one that they share may find out.
        """
        try:
            return call()
        except GrammarError:
            self._num_renewed += 1
            if self._num_renewed > MAX_RENEWED:
                raise
            self._vocabulary.forget(self._grammar.text, self._shared)
            self._begin()
            return call()

    def _take(self, token_id: int) -> int:
        left = self._left - 1
        self._stops.hold(self._matcher)
        after = self._after(token_id, left)
        if after is None:
            token_id = self._completion[0] if self._completion else self._end_id
            after = self._after(token_id, left)
        if after is None:
            left = 0
        else:
            mask = mask_of(after[0])  # raises if what was found is not sure
            self._stops.add(token_id)
            self._mask = mask
            self._matcher, self._completion = after
        self._left = left
        self._token_ids.append(token_id)
        return token_id

    def _after(self, token_id: int, left: int) -> tuple[LLMatcher, list[int]] | None:
        """Return what follows a token, with a completion that fits; None if there is none."""
        if token_id == self._end_id:
            return None
        if self._completion[:1] == [token_id]:
            consume(self._matcher, [token_id])
            return self._matcher, self._completion[1:]
        after = self._matcher.deep_copy()
        consume(after, [token_id])
        completion = self._complete(after, left)
        return None if completion is None else (after, completion)

    def _complete(self, after: LLMatcher, left: int) -> list[int] | None:
        """Return the known completion, or most of it, or another one."""
        for start in range(min(len(self._completion), MAX_REPLACED) + 1):
            known = self._completion[start:]
            if len(known) <= left and completes(after, known, self._end_id):
                return known
        # the way that was known was short, too: there is hardly a shorter one
        is_tight = len(self._completion) > left
        return self._completer.complete(
            after,
            left,
            IN_HASTE if is_tight else IN_TURN,
            is_searched=self._grammar.is_searched,
        )
