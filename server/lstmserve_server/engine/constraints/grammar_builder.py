"""From a JSON schema, or from a grammar, to what an engine is taught."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from lstmserve_server.engine.constraints.completion import Completer
from lstmserve_server.engine.constraints.grammar import Grammar, GrammarError
from lstmserve_server.engine.constraints.messages import RefusedFormError
from lstmserve_server.engine.constraints.parsing import NO_TEXT, GrammarVocabulary

OF_SCHEMA = "failed to compile JSON schema: "  # after which the library says what is wrong
UNIMPLEMENTED = re.compile(r"Unimplemented keys: \[(.*)\]")
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
# what a grammar may not ask for, as it would be ignored here, or would not be text
NOT_SERVED = {
    "temperature": re.compile(r"\[[^\]\n]*\btemperature\s*="),
    # a text would keep the grammar or not by the tokens that it came in
    "max_tokens": re.compile(r"\[[^\]\n]*\bmax_tokens\s*="),
    LAYOUT_KEY: re.compile(LAYOUT_KEY),
    "%llguidance": re.compile(r"^\s*%llguidance\b", re.MULTILINE),
    "special tokens": re.compile(r"<\[|<\|?[A-Za-z_]+\|?>(?![^\n]*[\"/])"),
}


class GrammarBuilder:
    """Tries grammars over the tokens of one version."""

    def __init__(self, tokens: Sequence[bytes], end_id: int) -> None:
        self._vocabulary = GrammarVocabulary(tokens, end_id)
        self._completer = Completer(self._vocabulary)

    def build(self, text: str, prefix: str) -> Grammar:
        """Return a grammar, with a short reply that keeps it; raises RefusedFormError."""
        try:
            matcher = self._vocabulary.begin(text, prefix.encode())
            completion = self._completer.complete(matcher, MAX_COMPLETION)
        except GrammarError as error:
            raise RefusedFormError(_explain(str(error))) from None
        if completion is None:
            raise RefusedFormError("is kept by no reply that was found; make it simpler")
        return Grammar(text, prefix.encode(), tuple(completion))


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
        schema = json.loads(text)
    except RecursionError:
        raise RefusedFormError("nests too deep") from None
    except ValueError as error:
        raise RefusedFormError(f"is no JSON: {error}") from None
    if isinstance(schema, bool):
        schema = {} if schema else {"not": {}}
    if not isinstance(schema, dict):
        raise RefusedFormError("must be a JSON object, true or false")
    if LAYOUT_KEY in schema:
        raise RefusedFormError(f"has {LAYOUT_KEY}, which is not served")
    return "start: %json " + json.dumps({**schema, LAYOUT_KEY: JSON_LAYOUT})


def of_lark(text: str) -> str:
    """Return a grammar in Lark's syntax; raises RefusedFormError for what is not served."""
    for name, pattern in NOT_SERVED.items():
        if pattern.search(text):
            raise RefusedFormError(f"has {name}, which is not served")
    return text
