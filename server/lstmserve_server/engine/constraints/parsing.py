"""Context-free forms: which tokens a text under a grammar may go on with, by llguidance.

The library parses by Earley's method over lexemes, and finds the tokens that may follow in some
microseconds (https://github.com/guidance-ai/llguidance). What it costs has bounds of its own, in
steps and not in seconds; a text that needs more ends with an error.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property

from llguidance import LLMatcher, LLParserLimits, LLTokenizer, TokenizerWrapper

from lstmserve_server.engine.constraints.grammar import GrammarError

# the model's own tokens are chosen among, also where the grammar forces a text
NO_FORCING = '%llguidance {"no_forcing": true}\n'
LIMITS = LLParserLimits(
    max_items_in_row=2_000,
    initial_lexer_fuel=1_000_000,
    step_lexer_fuel=200_000,
    step_max_items=50_000,
    max_lexer_states=10_000,  # of 1 to 2 kB each
    max_grammar_size=100_000,
    verbose_errors=False,
)
PLACE = re.compile(r"^(?:at )?(\d+)\((\d+)\):")
NO_TEXT = "is kept by no text"
NO_TEXT_REASONS = ("", "NoExtension", "NoExtensionBias")
MAX_REASON = 400  # characters
MAX_KEPT = 16  # grammars, of which most replies keep the last few


class GrammarVocabulary:
    """The tokens of a version, as the library wants them."""

    def __init__(self, tokens: Sequence[bytes], end_id: int, max_kept: int = MAX_KEPT) -> None:
        """``tokens`` are empty where no form allows them; so many grammars stay compiled."""
        self.tokens = tuple(tokens)
        self._max_kept = max_kept
        self.end_id = end_id
        known = {token for token in tokens if len(token) == 1}
        # a prefix is read byte by byte, whether or not the model has all bytes
        further = [bytes([byte]) for byte in range(256) if bytes([byte]) not in known]
        self._library = LLTokenizer(
            TokenizerWrapper(_Tokens([*tokens, *further], end_id)),
            n_vocab=len(tokens) + len(further),
        )
        self._byte_ids = [0] * 256
        for number, token in enumerate([*tokens, *further]):
            if len(token) == 1:
                self._byte_ids[token[0]] = number
        self._kept: OrderedDict[str, LLMatcher] = OrderedDict()

    def begin(self, text: str, prefix: bytes) -> LLMatcher:
        """Return what matches a text from behind its prefix; raises GrammarError."""
        return self.go_on(self.find(text), prefix)

    def go_on(self, compiled: LLMatcher, prefix: bytes) -> LLMatcher:
        """Return what matches a text from behind its prefix; raises GrammarError."""
        matcher = compiled.deep_copy()
        ids = [self._byte_ids[byte] for byte in prefix]
        if ids and not matcher.consume_tokens(ids):
            raise GrammarError(f"{NO_TEXT} that begins with this end of the prompt")
        return matcher

    def forget(self, text: str, found: LLMatcher) -> None:
        """Let the states of a lexer go; do nothing where others have done so since."""
        if self._kept.get(text) is found:
            del self._kept[text]

    def known(self, text: str) -> LLMatcher | None:
        """Return the matcher of a grammar that is compiled already."""
        return self._kept.get(text)

    def find(self, text: str) -> LLMatcher:
        """Return the matcher of a grammar; all of its copies share the states of its lexer."""
        if text not in self._kept:
            matcher = LLMatcher(self._library, NO_FORCING + text, log_level=0, limits=LIMITS)
            if matcher.is_error():
                raise GrammarError(explain(matcher))
            self._kept[text] = matcher
            if len(self._kept) > self._max_kept:
                self._kept.popitem(last=False)
        self._kept.move_to_end(text)
        return self._kept[text]

    def tokenize(self, text: bytes) -> list[int] | None:
        """Return tokens of a text, the longest first from its beginning; None if there are none."""
        token_ids = []
        while text:
            lengths = range(min(self._longest, len(text)), 0, -1)
            fitting = next((text[:n] for n in lengths if text[:n] in self._ids), None)
            if fitting is None:
                return None
            token_ids.append(self._ids[fitting])
            text = text[len(fitting) :]
        return token_ids

    @cached_property
    def _ids(self) -> dict[bytes, int]:
        return {token: number for number, token in enumerate(self.tokens) if token}

    @cached_property
    def _longest(self) -> int:
        return max(map(len, self._ids), default=0)


def mask_of(matcher: LLMatcher) -> bytes:
    """Return a bit for each token that may follow, lowest first; raises GrammarError.

    It is raised whenever a lexer has come to its bounds, for all copies that share it. Until then
    such a lexer lets no text follow, and ``completes`` says no where it should say yes.
    """
    mask = matcher.compute_bitmask()
    if matcher.is_error():
        raise GrammarError(explain(matcher))
    return mask


def consume(matcher: LLMatcher, token_ids: Sequence[int]) -> None:
    """Go on by tokens that may follow; raises GrammarError."""
    if not matcher.consume_tokens(list(token_ids)):
        raise GrammarError(explain(matcher))


def explain(matcher: LLMatcher) -> str:
    """Return what is wrong with a matcher, in one line."""
    lines = matcher.get_error().replace("<non-verbose/>", "").strip().splitlines()
    reason = PLACE.sub(_to_own_place, lines[0].strip()) if lines else ""
    return NO_TEXT if reason in NO_TEXT_REASONS else reason[:MAX_REASON].removesuffix(":")


def _to_own_place(found: re.Match[str]) -> str:
    """Return a place in the caller's grammar: the library has one line before it."""
    line, column = int(found[1]), found[2]
    return f"line {line - 1}, column {column}:" if line > 1 else ""


class _Tokens:
    """What the library asks of a tokenizer; as nothing is forced, it has it tokenize nothing."""

    bos_token_id = None

    def __init__(self, tokens: list[bytes], end_id: int) -> None:
        self.tokens = tokens
        self.eos_token_id = end_id
        self.special_token_ids = [number for number, token in enumerate(tokens) if not token]

    def __call__(self, _: bytes) -> list[int]:
        return []
