"""Forms over the vocabulary of a version, built here and not by a process."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import blake2b

from lstmserve_bundle import Bundle
from lstmserve_server.engine.constraints.byte_automaton import (
    ByteAutomaton,
    of_choices,
    of_regex,
)
from lstmserve_server.engine.constraints.form import ContextFreeForm, RegularForm
from lstmserve_server.engine.constraints.grammar_builder import GrammarBuilder
from lstmserve_server.engine.constraints.grammar_texts import of_json_schema
from lstmserve_server.engine.constraints.token_automaton import Vocabulary, of_tokens
from support.reference_form import ReferenceForm


def vocabulary_of(bundle: Bundle) -> Vocabulary:
    """The tokens that forms of a version may allow."""
    tokenizer = bundle.tokenizer
    tokens = (tokenizer.token_bytes(number) for number in range(tokenizer.num_tokens))
    return Vocabulary(tuple(tokens), bundle.template.end_id)


def regex_form(bundle: Bundle, pattern: str) -> RegularForm:
    return _to_form(bundle, pattern, of_regex(pattern))


def choices_form(bundle: Bundle, choices: Sequence[str]) -> RegularForm:
    return _to_form(bundle, repr(choices), of_choices(choices))


def _to_form(bundle: Bundle, name: str, built: ByteAutomaton) -> RegularForm:
    automaton = of_tokens(built, vocabulary_of(bundle))
    return RegularForm(_digest(name), automaton, built.to_text_table())


def grammar_form(bundle: Bundle, text: str, prefix: str = "") -> ContextFreeForm:
    """A form by a grammar in Lark's syntax."""
    built = _builder(bundle.manifest.digest, bundle).build(text, prefix)
    return ContextFreeForm(_digest(f"{text} {prefix}"), built)


def json_form(bundle: Bundle, schema: object, prefix: str = "") -> ContextFreeForm:
    """A form by a JSON schema."""
    return grammar_form(bundle, of_json_schema(json.dumps(schema)), prefix)


def _builder(digest: str, bundle: Bundle) -> GrammarBuilder:
    if digest not in _BUILDERS:
        _BUILDERS[digest] = GrammarBuilder(bundle.tokenizer.all_bytes(), bundle.template.end_id)
    return _BUILDERS[digest]


def _digest(name: str) -> bytes:
    return blake2b(name.encode(), digest_size=32).digest()


def reference_form(bundle: Bundle, form: RegularForm) -> ReferenceForm:
    """The same once more, for the reference decoder."""
    key = (bundle.manifest.digest, form.digest)
    if key not in _REFERENCES:
        vocabulary = vocabulary_of(bundle)
        _REFERENCES[key] = ReferenceForm(form.text, vocabulary.tokens, vocabulary.end_id)
    return _REFERENCES[key]


_BUILDERS: dict[str, GrammarBuilder] = {}
_REFERENCES: dict[tuple[str, bytes], ReferenceForm] = {}
