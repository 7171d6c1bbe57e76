"""From a JSON schema, or from a grammar, to what an engine is taught."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from time import process_time

from llguidance import LLMatcher

from lstmserve_server.engine.constraints.completion import ASIDE, Completer, Effort
from lstmserve_server.engine.constraints.grammar import Grammar, GrammarError
from lstmserve_server.engine.constraints.messages import RefusedFormError
from lstmserve_server.engine.constraints.parsing import NO_TEXT, GrammarVocabulary, mask_of

OF_SCHEMA = "failed to compile JSON schema: "  # after which the library says what is wrong
MAX_DIGITS = 64  # of a number, and of what an error tells
UNIMPLEMENTED = re.compile(r"Unimplemented keys: \[(.*)\]")
# an engine compiles it, too, while its replies wait
MAX_COMPILE_SECONDS = 0.2
TAKES_LONG = (
    f"takes longer than {MAX_COMPILE_SECONDS:g} seconds to compile; make it smaller, "
    "or its patterns simpler"
)
MAX_KEPT = 4  # grammars that go on from other beginnings; a lexer may take 20 MB
MAX_COMPLETION = 4096  # tokens; no reply has more
# JSON on one line, as most programs write it: a model of words would write blanks for ever
JSON_LAYOUT = {
    "whitespace_flexible": False,
    "item_separator": r",\x20?",
    "key_separator": r":\x20?",
    "lenient": False,
    "coerce_one_of": False,
}
LAYOUT_KEY = "x-guidance"
SCHEMA = re.compile(r"%json\s*")
ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")  # a character of a JSON string
# what a grammar may not ask for: it would be ignored here, would not be text, or depends on tokens
NOT_SERVED = {
    "temperature": re.compile(r"\[[^\]\n]*\btemperature\s*="),
    # a text would keep the grammar or not by the tokens that it came in
    "max_tokens": re.compile(r"\[[^\]\n]*\bmax_tokens\s*="),
    "%llguidance": re.compile(r"^\s*%llguidance\b", re.MULTILINE),
    "special tokens": re.compile(r"<[^<>\s]+>"),
}
# texts, patterns and comments, in which all of that may stand
QUOTED = re.compile(r'"(?:\\.|[^"\\\n])*"' + r"|/(?![/*])(?:\\.|[^/\\\n])+/" + r"|//[^\n]*|#[^\n]*")


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


def of_json_schema(text: str) -> str:
    """Return the grammar of a JSON schema's values; raises RefusedFormError."""
    try:
        schema = _decoder.decode(text)
        json.dumps(schema, ensure_ascii=False).encode()
    except RecursionError:
        raise RefusedFormError("nests too deep") from None
    except UnicodeEncodeError:
        raise RefusedFormError("has half of a character (a lone surrogate)") from None
    except ValueError as error:
        raise RefusedFormError(f"is no JSON: {error}") from None
    if isinstance(schema, bool):
        schema = {} if schema else {"not": {}}
    if not isinstance(schema, dict):
        raise RefusedFormError("must be a JSON object, true or false")
    if LAYOUT_KEY in schema:
        raise RefusedFormError(f"has {LAYOUT_KEY}, which is not served")
    return "start: %json " + json.dumps({**schema, LAYOUT_KEY: JSON_LAYOUT})


def _to_int(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise RefusedFormError(f"has a number of more than {MAX_DIGITS} characters")
    return int(text)


def _to_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise RefusedFormError(f"has the number {text[:MAX_DIGITS]}, which is not finite")
    return number


def _to_object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        numbers = Counter(name for name, _ in pairs)
        twice = next(name for name, number in numbers.items() if number > 1)
        raise RefusedFormError(f"has {twice[:MAX_DIGITS]!r} twice in one object")
    return found


_decoder = json.JSONDecoder(
    parse_int=_to_int,
    parse_float=_to_float,
    parse_constant=_to_float,
    object_pairs_hook=_to_object,
)


def of_lark(text: str) -> str:
    """Return a grammar in Lark's syntax; raises RefusedFormError for what is not served."""
    if LAYOUT_KEY in ESCAPED.sub(lambda found: chr(int(found[1], 16)), text):
        raise RefusedFormError(f"has {LAYOUT_KEY}, not served here")
    for found in SCHEMA.finditer(text):
        with suppress(json.JSONDecodeError, RecursionError):  # of which the library tells where
            _decoder.raw_decode(text, found.end())
    bare = QUOTED.sub('""', text)
    for name, pattern in NOT_SERVED.items():
        if pattern.search(bare):
            raise RefusedFormError(f"has {name}, not served here")
    return text
