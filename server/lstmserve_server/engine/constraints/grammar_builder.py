"""From the text of a grammar to what an engine is taught."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from time import process_time

from llguidance import LLMatcher

from lstmserve_server.engine.constraints.completion import ASIDE, Completer, Effort
from lstmserve_server.engine.constraints.grammar import Grammar, GrammarError
from lstmserve_server.engine.constraints.messages import RefusedFormError
from lstmserve_server.engine.constraints.parsing import NO_TEXT, GrammarVocabulary, mask_of

OF_SCHEMA = "failed to compile JSON schema: "  # after which the library says what is wrong
UNIMPLEMENTED = re.compile(r"Unimplemented keys: \[(.*)\]")
# an engine compiles it, too, while its replies wait
MAX_COMPILE_SECONDS = 0.2
TAKES_LONG = (
    f"takes longer than {MAX_COMPILE_SECONDS:g} seconds to compile; make it smaller, "
    "or its patterns simpler"
)
MAX_KEPT = 4  # grammars that go on from other beginnings; a lexer may take 20 MB
MAX_COMPLETION = 4096  # tokens; no reply has more


class GrammarBuilder:
    """Tries grammars over the tokens of one version."""

    def __init__(self, tokens: Sequence[bytes], end_id: int) -> None:
        self._vocabulary = GrammarVocabulary(tokens, end_id, MAX_KEPT)
        self._completer = Completer(self._vocabulary)

    def build(self, text: str, prefix: str, effort: Effort = ASIDE) -> Grammar:
        """Return a grammar, with a short reply that keeps it; raises RefusedFormError.

        What is known of a grammar from other beginnings saves compiling it, and decides nothing:
        where the library gives up, it tries once more and knows nothing.
        """
        known = self._vocabulary.known(text)
        if known is not None:
            with suppress(GrammarError):
                return self._complete(known, text, prefix.encode(), effort)
            self._vocabulary.forget(text, known)
        try:
            return self._complete(self._compile(text), text, prefix.encode(), effort)
        except GrammarError as error:
            raise RefusedFormError(_explain(str(error))) from None

    def _compile(self, text: str) -> LLMatcher:
        began_at = process_time()
        compiled = self._vocabulary.find(text)
        if process_time() - began_at > MAX_COMPILE_SECONDS:
            self._vocabulary.forget(text, compiled)
            raise RefusedFormError(TAKES_LONG)
        return compiled

    def _complete(self, compiled: LLMatcher, text: str, prefix: bytes, effort: Effort) -> Grammar:
        matcher = self._vocabulary.go_on(compiled, prefix)
        completion, is_searched = self._completer.complete_aside(matcher, MAX_COMPLETION, effort)
        mask_of(matcher)  # raises where the library has given up
        if completion is None:
            raise RefusedFormError("is kept by no reply that was found; make it simpler")
        return Grammar(text, prefix, tuple(completion), is_searched)


def _explain(reason: str) -> str:
    """Return what is wrong with a form, as what follows the name of its field."""
    reason = reason.rpartition(OF_SCHEMA)[2].partition(". Enable ")[0]  # what callers cannot
    keys = UNIMPLEMENTED.fullmatch(reason)
    if keys is not None:
        return f"has keywords that are not served together: {keys[1]}"
    return reason if reason.startswith(NO_TEXT) else f"cannot be served: {reason}"
